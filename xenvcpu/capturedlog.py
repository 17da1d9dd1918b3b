# SPDX-License-Identifier: MIT
"""What a Xen library logs, kept in memory instead of printed.

The libraries format their messages with a C `va_list`, which Python cannot read portably, and a
C-to-Python callback needs memory that is writable and executable, which hardened hosts refuse.
So the logger is libxentoollog's own, and the stream that it prints to is a memory buffer of
the C library's: no callback anywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from xenvcpu.errors import HostError

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries


_TAKEN = 1 << 14
"""What of a log is kept: its end, where the error is."""


class CapturedLog:
    """A logger to open a library's handle with, and the lines that came through it.

    Attributes:
        handle: The `xentoollog_logger *` for `xc_interface_open`, `xencall_open` and their like.

    Synchronization: used by the thread that uses the handle. Close it after that handle.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open the buffer and its logger.

        Raises:
            LibraryMissingError: libxentoollog is not installed.
            HostError: No memory.
        """
        ffi, libc, toollog = libraries.ffi, libraries.libc, libraries.xentoollog
        self._ffi, self._libc = ffi, libc
        self._text, self._size = where = ffi.new("char **"), ffi.new("size_t *")

        def close(stream: Any) -> None:
            # fclose writes to both, and a log that is dropped loses its attributes before its stream.
            text, _ = where
            libc.fclose(stream)
            libc.free(text[0])

        self._stream = self._owned(libc.open_memstream(*where), close)
        level = ffi.integer_const("XTL_INFO")
        logger = toollog.xtl_createlogger_stdiostream(
            self._stream, level, ffi.integer_const("XTL_STDIOSTREAM_HIDE_PROGRESS")
        )
        self.handle: Any = self._owned(ffi.cast("xentoollog_logger *", logger), toollog.xtl_logger_destroy)

    def _owned(self, pointer: Any, destructor: Any) -> Any:
        if pointer == self._ffi.NULL:
            raise HostError(f"no log for the Xen libraries: {os.strerror(self._ffi.errno)}")
        return self._ffi.gc(pointer, destructor)

    def take(self) -> str:
        """The lines since the last call, oldest first, such as `xc: error: Internal error`; "" if none.

        Of very many only the last. They come as they are: a name in them is not escaped yet.

        Leaves `ffi.errno` as it is.
        """
        errno = self._ffi.errno
        self._libc.fflush(self._stream)
        data = bytes(self._ffi.buffer(self._text[0], self._size[0]))
        self._libc.rewind(self._stream)
        self._ffi.errno = errno
        return data[-_TAKEN:].decode("utf-8", "replace").rstrip("\n")

    def close(self) -> None:
        """Free the logger and its buffer; a second time does nothing."""
        self._ffi.release(self.handle)
        self._ffi.release(self._stream)
