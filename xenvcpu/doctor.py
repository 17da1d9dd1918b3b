# SPDX-License-Identifier: MIT
"""What this machine can do, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional

from xenvcpu.errors import HostError, XenVcpuError
from xenvcpu.host import Host, detect
from xenvcpu.rules.policy import READABLE

OK, MISSING, NOT_NEEDED = "ok", "missing", "not needed"
_PRIVCMD = Path("/dev/xen/privcmd")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_EXTRAS: Mapping[str, str] = {
    "click": "the command line", "rich": "tables on a terminal",
    "jsonschema": "checking context files against the schema",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        status: `ok`, `missing` or `not needed` (for what this machine is).
        detail: What was found.
        remedy: How to get it, where it is missing.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The check as `--json` prints it."""
        return {"name": self.name, "status": self.status, "detail": self.detail, "remedy": self.remedy}


def _attempt(name: str, work: Callable[[], object], *, is_needed: bool = True) -> Check:
    """Try something; an error of ours becomes its remedy."""
    try:
        return Check(name, OK, str(work()))
    except XenVcpuError as error:
        what, _, remedy = str(error).partition("; ")
        return Check(name, MISSING if is_needed else NOT_NEEDED, what, remedy)


def _privcmd() -> Check:
    if not _PRIVCMD.exists():
        return Check("privcmd", MISSING, f"{_PRIVCMD} does not exist", "modprobe xen-privcmd, under Xen")
    if not os.access(_PRIVCMD, os.R_OK | os.W_OK):
        return Check("privcmd", MISSING, f"no permission for {_PRIVCMD}", "run as root")
    return Check("privcmd", OK, str(_PRIVCMD))


def _lockdown() -> Iterator[Check]:
    """Lockdown makes Linux ignore the parameter that lifts the privcmd restriction."""
    try:
        text = _LOCKDOWN.read_text()
    except OSError:
        return
    if "[none]" not in text:
        yield Check(
            "lockdown", MISSING, f"the kernel is locked down: {text.strip()}",
            "turn secure boot's lockdown off, or drive the vcpus from dom0",
        )


def _dom0(host: Host) -> Iterator[Check]:
    yield _attempt("libxenctrl", lambda: f"Xen {host.dom0.release}")
    yield _attempt("libxenguest", lambda: _policies(host), is_needed=False)
    yield _attempt("domains", lambda: f"{len(host.domains())} besides dom0")
    yield _attempt("libxenstore", lambda: _names(host))
    yield _attempt("libxenforeignmemory", lambda: type(host.memory).__name__ and "memory of guests can be mapped")


def _policies(host: Host) -> str:
    if host.release not in READABLE:
        return f"not used: Xen {host.release} shows no CPU policies"
    return "CPU policies of domains can be read" if host.libraries.xenguest else ""


def _names(host: Host) -> str:
    if host.xenstore is None:
        raise HostError("no xenstore, so domains have no names here; start xenstored, or use domids and UUIDs")
    return "names of domains can be read"


def _guest(host: Host) -> Iterator[Check]:
    yield _attempt("libxencall", lambda: host.guest and "opened")
    yield _attempt("VCPUOP", lambda: f"vcpu 0 is {'up' if host.guest.is_up(0) else 'down'}")
    yield _attempt("vcpus", lambda: f"down: {list(host.domain('self').down_vcpus()) or 'none'}")


def examine(host: Optional[Host] = None) -> List[Check]:
    """Look at everything; nothing is changed.

    Args:
        host: A host that is open; by default what this machine is.
    """
    checks = [Check("python", OK, platform.python_version())]
    kind = host.kind if host is not None else detect()
    if kind == "none":
        checks.append(Check(
            "xen", MISSING, "this machine is not under Xen",
            "`--host model:pvh` works anywhere; `make lab` boots a real Xen in QEMU",
        ))
    else:
        checks.append(Check("xen", OK, {"dom0": "dom0", "guest": "inside a guest", "model": "a model of Xen"}[kind]))
    if kind in ("dom0", "guest"):
        checks.append(_privcmd())
    if host is not None:
        checks += _guest(host) if host.is_inside else _dom0(host)
    if kind == "guest":
        checks += _lockdown()
    for package, use in _EXTRAS.items():
        is_there = importlib.util.find_spec(package) is not None
        checks.append(Check(
            package, OK if is_there else NOT_NEEDED, use, "" if is_there else f"pip install {package}"
        ))
    return checks
