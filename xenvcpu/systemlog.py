# SPDX-License-Identifier: MIT
"""The system's log: the socket that syslog daemons and journald serve."""

from __future__ import annotations

import os
from contextlib import suppress

SOCKET = "/dev/log"
_PATIENCE = 1.0
"""Seconds that the log may take: its caller waits."""


def send(priority: int, ident: str, line: str, address: str = SOCKET) -> None:
    """Log one line; without a log to write to it is lost.

    Neither syslog(3) is used, whose name and options are the whole program's, nor logging's handler, which waits
    for a log that does not read.

    Args:
        priority: Facility and level, as syslog(3) adds them up.
        ident: Who speaks.
        line: What, with nothing unprintable in it.
        address: The socket.
    """
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log, suppress(OSError):
        log.settimeout(_PATIENCE)
        log.connect(address)
        log.send(f"<{priority}>{ident}[{os.getpid()}]: {line}".encode("utf-8"))
