# SPDX-License-Identifier: MIT
"""One line in the system's log for each change that was made to a domain."""

from __future__ import annotations

import os
import uuid
from typing import Callable, Optional, Sequence

Audit = Callable[[str, int, uuid.UUID, Sequence[int], str], None]
"""Is given the verb, the domid, the handle, the vcpuids and the outcome."""

SOCKET = "/dev/log"
_IDENT = "xenvcpu"


def no_audit(verb: str, domid: int, handle: uuid.UUID, vcpuids: Sequence[int], outcome: str) -> None:
    """For a model: no domain was changed."""


def syslog(
    verb: str, domid: int, handle: uuid.UUID, vcpuids: Sequence[int], outcome: str, *, address: str = SOCKET
) -> None:
    """Log a change: who, what, which domain and vcpus, and how it ended. Without a log to write to it is lost.

    Facility `authpriv`, priority `info`, through the socket that syslog daemons and journald serve.
    """
    import logging.handlers

    numbers = ",".join(map(str, vcpuids))
    text = f"{verb} domid={domid} uuid={handle} vcpus={numbers} {outcome} user={_who()}"
    try:
        handler = logging.handlers.SysLogHandler(address, logging.handlers.SysLogHandler.LOG_AUTHPRIV)
    except OSError:
        return
    handler.ident = f"{_IDENT}[{os.getpid()}]: "
    handler.append_nul = False
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    try:
        handler.emit(logging.LogRecord(_IDENT, logging.INFO, "", 0, _printable(text), None, None))
    finally:
        handler.close()


def _printable(text: str) -> str:
    """One line, whatever a name or a message holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _who() -> str:
    """The user who asked: the login that sudo came from, or the one of the process."""
    by = os.environ.get("SUDO_USER")
    return f"{os.getuid()}" if by is None else f"{os.getuid()} sudo_user={by[:64]!r}"


def outcome_of(
    outcome: str, left: Sequence[str] = (), kept: Optional[str] = None, *, digest: str = "", error: str = ""
) -> str:
    """The outcome as the line has it: `outcome=done context=sha256:...`, or what went wrong and what was put back."""
    parts = [f"outcome={outcome}"]
    if digest:
        parts.append(f"context=sha256:{digest}")
    if outcome != "done":
        parts.append("restored=no" if left else "restored=yes")
    parts += [f"left={line!r}" for line in left[:4]]
    parts += [f"kept={kept}"] if kept else []
    parts += [f"error={error!r}"] if error else []
    return " ".join(parts)
