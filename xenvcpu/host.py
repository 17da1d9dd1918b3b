# SPDX-License-Identifier: MIT
"""Where the program stands: in dom0, in a guest, or before a model of Xen."""

from __future__ import annotations

import os
import uuid
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple, Union

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.audit import no_audit, syslog
from xenvcpu.deadline import DEFAULT, Patience
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import HostError, NoSuchDomainError
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.keeper import Keeper
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.guest import GuestPort
from xenvcpu.ports.memory import MemoryPort
from xenvcpu.ports.xenstore import XenstorePort

if TYPE_CHECKING:
    from xenvcpu.rules.release import Release
    from types import TracebackType

    from xenvcpu.guard.folders import Folders

SELF = "self"
DOM0 = 0
DOMID_FIRST_RESERVED = 0x7FF0
"""No domain has a domid from here on (xen/include/public/xen.h)."""
_HYPERVISOR_TYPE = Path("/sys/hypervisor/type")
_CAPABILITIES = Path("/proc/xen/capabilities")
_CONTROL = "control_d"
KINDS = ("auto", "dom0", "guest", "model:NAME", "model:FILE")


def detect() -> str:
    """`dom0`, `guest`, or `none` when this machine is not under Xen."""
    try:
        if _HYPERVISOR_TYPE.read_text().strip() != "xen":
            return "none"
    except OSError:
        return "none"
    try:
        return "dom0" if _CONTROL in _CAPABILITIES.read_text() else "guest"
    except OSError:
        return "guest"


def open_host(spec: str = "auto", patience: Patience = DEFAULT) -> Host:
    """Open a host.

    Args:
        spec: `auto`, `dom0`, `guest`, or `model:` with the name of a built-in world or a world file.
        patience: How long each operation on it may wait for others.

    Raises:
        HostError: This machine is not under Xen, or the spec is unknown.
    """
    if spec.startswith("model:"):
        from xenvcpu.model import open_model

        return Host("model", open_model(spec[len("model:") :]), patience)
    kind = detect() if spec == "auto" else spec
    if kind == "none":
        raise HostError("this machine is not under Xen; a model of it works anywhere: --host model:pvh")
    if kind not in ("dom0", "guest"):
        raise HostError(f"{spec!r} is not a host; choose one of {', '.join(KINDS)}")
    from xenvcpu.libraries import Libraries

    return Host(kind, Libraries(), patience)


class Host:
    """A host, and the handles on its libraries, each opened when first needed.

    Attributes:
        kind: `dom0`, `guest` or `model`.
        libraries: The C libraries, or those of a model.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, kind: str, libraries: Any, patience: Patience = DEFAULT) -> None:
        """Nothing is opened yet.

        Args:
            kind: What it is.
            libraries: Its C libraries.
            patience: How long each operation may wait for others.
        """
        self.kind = kind
        self.libraries = libraries
        self._patience = patience

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: Optional[type], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Host {self.kind}>"

    @property
    def is_inside(self) -> bool:
        """Whether the caller stands in a guest, and can drive its own vcpus only."""
        return self.kind == "guest" or getattr(self.libraries, "here", DOM0) != DOM0

    def close(self) -> None:
        """Close every handle; a second time does nothing."""
        for name in ("keeper", "dom0", "guest", "memory", "xenstore"):
            port = self.__dict__.pop(name, None)
            if port is not None:
                port.close()
        self.libraries.close()

    @cached_property
    def dom0(self) -> Dom0Port:
        """The dom0 port."""
        return Dom0Port(self.libraries)

    @property
    def release(self) -> Release:
        """The running Xen."""
        return self.guest.read_release() if self.is_inside else self.dom0.release

    @cached_property
    def keeper(self) -> Keeper:
        """Who keeps a domain while it is changed, with lock and guard, where the host lives on without us."""
        path: Optional[str] = getattr(self.libraries, "path", None)
        if self.kind == "model" and path is None:
            return Keeper(self.dom0, self._patience)
        from xenvcpu.guard import process
        from xenvcpu.guard.keeper import GuardedKeeper

        spec, audit = (self.kind, syslog) if path is None else (f"model:{os.path.abspath(path)}", no_audit)
        folders = self.folders
        return GuardedKeeper(
            self.dom0, self._patience, folders, lambda: process.start(spec, folders.kept), audit, self.name
        )

    @property
    def folders(self) -> Folders:
        """Where locks and kept captures lie; those of a model need no privilege."""
        from xenvcpu.guard import folders

        path: Optional[str] = getattr(self.libraries, "path", None)
        return folders.HOST if self.kind != "model" else folders.of_world(path or "")

    @cached_property
    def guest(self) -> GuestPort:
        """The guest port."""
        return GuestPort(self.libraries)

    @cached_property
    def memory(self) -> MemoryPort:
        """Memory of guests."""
        return MemoryPort(self.libraries)

    @cached_property
    def xenstore(self) -> Optional[XenstorePort]:
        """Names of domains; None where xenstore is out of reach."""
        try:
            return XenstorePort(self.libraries)
        except HostError:
            return None

    def name(self, domid: int) -> Optional[str]:
        """The name of a domain, where xenstore has one."""
        return None if self.xenstore is None else self.xenstore.name(domid)

    def _offline(self, domid: Optional[int], vcpuids: Iterable[int]) -> Tuple[int, ...]:
        return () if self.xenstore is None else self.xenstore.offline(domid, vcpuids)

    def _domain(self, info: DomainInfo) -> Dom0Domain:
        offline = partial(self._offline, info.domid)
        return Dom0Domain(self.dom0, self.keeper, info, self.name(info.domid), offline)

    def domains(self) -> Tuple[Dom0Domain, ...]:
        """Every domain but dom0 itself, in order of domid."""
        found: List[DomainInfo] = []
        while True:
            chunk = self.dom0.domains(found[-1].domid + 1 if found else 1)
            if not chunk:
                return tuple(self._domain(info) for info in found)
            found += chunk

    def domain(self, which: Union[str, int]) -> Union[Dom0Domain, GuestDomain]:
        """One domain, by domid, name or UUID; `self` is the caller's own, driven from inside.

        Raises:
            NoSuchDomainError: There is none.
            HostError: `self` in dom0, or another domain from inside a guest.
        """
        if self.is_inside:
            if which != SELF:
                raise HostError(f"inside a guest only its own vcpus can be driven: use `{SELF}`, not {which!r}")
            audit = no_audit if self.kind == "model" else syslog
            return GuestDomain(self.guest, self.release, audit, partial(self._offline, None))
        if which == SELF:
            # Its own vcpus are a PV domain's here, or this very dom0's: nothing may stop them in passing.
            raise HostError(f"`{SELF}` is a guest's own domain, and this is dom0; `xenvcpu list` shows the domains")
        text = str(which)
        if text.isascii() and text.isdigit() and int(text) < DOMID_FIRST_RESERVED:
            info = self.dom0.domain(int(text))
            return self._domain(info)
        wanted = _as_uuid(text)
        for domain in (self._domain(self.dom0.domain(DOM0)), *self.domains()):
            if domain.name == text or wanted is not None and domain.info.handle == wanted:
                return domain
        raise NoSuchDomainError(f"there is no domain {text!r}; `xenvcpu list` shows them")


def _as_uuid(text: str) -> Optional[uuid.UUID]:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
