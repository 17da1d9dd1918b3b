# SPDX-License-Identifier: MIT
"""One line in the system's log for each change that was made to a domain."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from syslog import LOG_AUTHPRIV, LOG_INFO
from typing import Callable, Optional, Sequence

from xenvcpu import systemlog
from xenvcpu.plaintext import plain

Audit = Callable[[str, str, Sequence[int], str], None]
"""Is given the verb, the domain, the vcpuids that were changed, and the outcome."""

_IDENT = "xenvcpu"
_LOGIN = Path("/proc/self/loginuid")
_NO_LOGIN = (1 << 32) - 1
_RESTORED = {True: "yes", False: "no", None: "unknown"}


def no_audit(verb: str, domain: str, vcpuids: Sequence[int], outcome: str) -> None:
    """For a model: no domain was changed."""


def name_of(domid: int, handle: uuid.UUID) -> str:
    """A domain as the line names it; inside a guest it is `domain=self`."""
    return f"domid={domid} uuid={handle}"


def syslog(verb: str, domain: str, vcpuids: Sequence[int], outcome: str, *, address: str = systemlog.SOCKET) -> None:
    """Log a change: who, what, which domain and vcpus, and how it ended. Without a log to write to it is lost.

    Facility `authpriv`, priority `info`.
    """
    numbers = ",".join(map(str, vcpuids))
    text = plain(f"{verb} {domain} vcpus={numbers} {outcome} user={_who()}")
    systemlog.send(LOG_AUTHPRIV | LOG_INFO, _IDENT, text, address)


def _who() -> int:
    """The user who logged in, also behind sudo; or that of the process, where nobody did."""
    try:
        login = int(_LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return os.getuid()
    return os.getuid() if login == _NO_LOGIN else login


def outcome_of(
    outcome: str, restored: Optional[bool] = None, left: Sequence[str] = (), kept: Optional[str] = None, *,
    digest: str = "", error: str = "",
) -> str:
    """The outcome as the line has it: `outcome=done context=sha256:...`, or what went wrong and what was put back."""
    parts = [f"outcome={outcome}"]
    if digest:
        parts.append(f"context=sha256:{digest}")
    if outcome != "done":
        parts.append(f"restored={_RESTORED[restored]}")
    parts += [f"left={line!r}" for line in left[:4]]
    parts += [f"kept={kept}"] if kept else []
    parts += [f"error={error!r}"] if error else []
    return " ".join(parts)
