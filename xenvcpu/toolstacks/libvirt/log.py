# SPDX-License-Identifier: MIT
"""What hook and watcher tell, a line each: to the system's log, and on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Optional, TextIO

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
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        # sd-daemon(3): the journal takes the priority from the beginning of a line.
        prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else f"{self._ident}: "
        with suppress(OSError, ValueError):
            print(f"{prefix}{line}", file=self._stream or sys.stderr, flush=True)
        if self._address:
            self._send(self._address, priority, line)

    def _send(self, address: str, priority: int, line: str) -> None:
        from logging import LogRecord
        from logging.handlers import SysLogHandler

        try:
            handler = SysLogHandler(address, SysLogHandler.LOG_DAEMON)
        except OSError:
            return
        handler.ident = f"{self._ident}[{os.getpid()}]: "
        handler.append_nul = False
        handler.handleError = lambda record: None  # type: ignore[method-assign]
        level = {INFO: 20, WARNING: 30}.get(priority, 40)
        try:
            handler.emit(LogRecord(self._ident, level, "", 0, line, None, None))
        finally:
            handler.close()
