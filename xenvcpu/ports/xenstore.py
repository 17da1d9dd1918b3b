# SPDX-License-Identifier: MIT
"""Names of domains, and which vcpus their toolstack has offline, from xenstore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Optional, Tuple

from xenvcpu.ports.handle import LibraryHandle

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

_OFFLINE = "offline"


class XenstorePort(LibraryHandle):
    """An open libxenstore handle, read only.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open libxenstore.

        Raises:
            LibraryMissingError: It is not installed.
            HostError: No xenstore to be reached.
        """
        super().__init__(libraries, libraries.xenstore, "xs_open", "xs_close", loggers=0)
        self._libc: Any = libraries.libc

    def read(self, path: str) -> Optional[str]:
        """The value at a path, or None where there is none to be read."""
        length = self._ffi.new("unsigned int *")
        value = self._lib.xs_read(self._handle, 0, path.encode(), length)
        if value == self._ffi.NULL:
            return None
        try:
            return bytes(self._ffi.buffer(value, length[0])).decode("utf-8", "replace")
        finally:
            self._libc.free(value)

    def name(self, domid: int) -> Optional[str]:
        """The name of a domain. It comes from a tool or a guest: escape it before showing it."""
        return self.read(f"/local/domain/{domid}/name")

    def offline(self, domid: Optional[int], vcpuids: Iterable[int]) -> Tuple[int, ...]:
        """Those of some vcpus of a domain that its toolstack has offline; domid None is the caller's own."""
        folder = "cpu" if domid is None else f"/local/domain/{domid}/cpu"
        return tuple(vcpuid for vcpuid in vcpuids if self.read(f"{folder}/{vcpuid}/availability") == _OFFLINE)
