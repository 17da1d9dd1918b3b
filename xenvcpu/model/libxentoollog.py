# SPDX-License-Identifier: MIT
"""The stand-in for libxentoollog: a logger that prints to a stream of the real C library."""

from __future__ import annotations

from typing import Any, NamedTuple

from xenvcpu._xen import ffi
from xenvcpu.model.standin import StandIn, address, prototype


class _Logger(NamedTuple):
    stream: Any
    least: int


class LibXenToolLog(StandIn):
    """libxentoollog."""

    name = "libxentoollog"

    @prototype("xentoollog_logger_stdiostream *(*)(FILE *, xentoollog_level, unsigned int)")
    def xtl_createlogger_stdiostream(self, stream: Any, least: int, flags: int) -> Any:
        return self._open("xentoollog_logger_stdiostream *", _Logger(stream, least))

    @prototype("void(*)(xentoollog_logger *)")
    def xtl_logger_destroy(self, logger: Any) -> None:
        if logger != ffi.NULL:
            self._close(logger)

    @prototype("void(*)(xentoollog_logger *, xentoollog_level, int, const char *, const char *, ...)")
    def xtl_log(self, logger: Any, level: int, number: int, context: Any, text: Any, *values: Any) -> None:
        self.write(logger, level, f"{ffi.string(context).decode()}: {ffi.string(text).decode()}")

    def write(self, logger: Any, level: int, line: str) -> None:
        """Log a line, as a library does that was opened with this logger."""
        found = self._handles.get(address(logger))
        if found is not None and level >= found[1].least:
            self.libraries.libc.fputs(f"{line}\n".encode(), found[1].stream)
