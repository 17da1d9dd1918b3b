# SPDX-License-Identifier: MIT
"""What hook and watcher tell, a line each: to the system's log, and on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from syslog import LOG_DAEMON
from typing import Optional, TextIO

from xenvcpu import systemlog
from xenvcpu.plaintext import plain

INFO, WARNING, ERROR = 6, 4, 3
"""Priorities as syslog(3) has them."""


class Log:
    """A log.

    Synchronization: for one thread.
    """

    def __init__(self, ident: str, address: Optional[str] = None, stream: Optional[TextIO] = None) -> None:
        """Nothing is opened yet.

        Args:
            ident: Who speaks.
            address: The socket of the system's log; None for stderr alone, which systemd reads.
            stream: Where to write in place of stderr.
        """
        self._ident = ident
        self._address = address
        self._stream = stream

    def write(self, priority: int, text: str) -> None:
        """Write one line; where nobody takes it, it is lost."""
        line = plain(text)
        # sd-daemon(3): the journal takes the priority from the beginning of a line.
        prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else f"{self._ident}: "
        with suppress(OSError, ValueError):
            print(f"{prefix}{line}", file=self._stream or sys.stderr, flush=True)
        if self._address:
            systemlog.send(LOG_DAEMON | priority, self._ident, line, self._address)
