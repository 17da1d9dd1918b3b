# SPDX-License-Identifier: MIT
"""An open handle on one Xen library, with what the library logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenvcpu.ports.failure import cannot_open

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries


class LibraryHandle:
    """What the ports have in common: opened once, closed once, and its log taken with each failure.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries, library: Any, opener: str, closer: str, *, loggers: int = 1) -> None:
        """Open the handle.

        Args:
            libraries: The C libraries of this host.
            library: The one to open.
            opener: Its function that opens: loggers, then flags.
            closer: Its function that closes.
            loggers: How many loggers the opener takes.

        Raises:
            HostError: Not under Xen, or no permission.
        """
        self._ffi = libraries.ffi
        self._lib: Any = library
        self._closer = closer
        self._log = libraries.new_log()
        self._handle: Any = getattr(library, opener)(*[self._log.handle] * loggers, 0)
        if self._handle == self._ffi.NULL:
            number, log = self._ffi.errno, self._log.take()
            self._log.close()
            raise cannot_open(opener, number, log)

    def close(self) -> None:
        """Close the handle; a second time does nothing."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            getattr(self._lib, self._closer)(handle)
            self._log.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'CLOSED' if self._handle is None else 'open'}>"
