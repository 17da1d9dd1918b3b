# SPDX-License-Identifier: MIT
"""An open handle on one Xen library, with what the library logs."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple

from xenvcpu.errors import HostError
from xenvcpu.ports.failure import cannot_open

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

DEVICES = ("/dev/xen/", "/proc/xen/")
"""Where the devices lie that the libraries open."""
_DESCRIPTORS = Path("/proc/self/fd")
_CLOSED = "it is closed"
_FORKED = "it was opened before a fork, and belongs to the parent: open the host again in the child"


def close_on_exec(folders: Tuple[str, ...] = DEVICES) -> None:
    """Keep the devices in these folders from programs that this process may start.

    The libraries open them so themselves, but for libxenstore's own device (tools/libs/store/xs.c,
    get_dev), which a dom0 has whose xenstored runs in a domain of its own.
    """
    for link in _DESCRIPTORS.iterdir() if _DESCRIPTORS.is_dir() else ():
        # The descriptor by which the folder is read is listed too, and gone by now.
        with suppress(OSError):
            if os.readlink(link).startswith(folders):
                os.set_inheritable(int(link.name), False)


class LibraryHandle:
    """What the ports have in common: opened once, closed once, and its log taken with each failure.

    A child that is forked cannot use it: Xen's libraries keep buffers for hypercalls that a child does not
    get (MADV_DONTFORK), and what the child would close or unmap, the parent still works with.

    Synchronization: not for use from two threads at once.
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
        self._unusable = ""
        self._log = libraries.new_log()
        self._opened: Any = getattr(library, opener)(*[self._log.handle] * loggers, 0)
        if self._opened == self._ffi.NULL:
            number, log = self._ffi.errno, self._log.take()
            self._log.close()
            raise cannot_open(opener, number, log)
        close_on_exec()
        _opened.add(self)

    @property
    def _handle(self) -> Any:
        """The C handle.

        Raises:
            HostError: It is closed, or a parent's.
        """
        if self._unusable:
            raise HostError(f"{type(self).__name__} cannot be used: {self._unusable}")
        return self._opened

    def close(self) -> None:
        """Close the handle; a second time does nothing, and neither does a child with its parent's."""
        if not self._unusable:
            self._unusable = _CLOSED
            getattr(self._lib, self._closer)(self._opened)
            self._log.close()

    def _leave_to_parent(self) -> None:
        self._unusable = self._unusable or _FORKED

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'CLOSED' if self._unusable else 'open'}>"


_opened: weakref.WeakSet[LibraryHandle] = weakref.WeakSet()


def _in_child() -> None:
    for handle in _opened:
        handle._leave_to_parent()


os.register_at_fork(after_in_child=_in_child)
