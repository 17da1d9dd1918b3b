# SPDX-License-Identifier: MIT
"""A guest's memory as dom0 sees it, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xenvcpu.errors import HypercallError
from xenvcpu.ports.failure import failure
from xenvcpu.ports.handle import LibraryHandle

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

PAGE = 4096
PROT_READ, PROT_WRITE = 1, 2


class MemoryPort(LibraryHandle):
    """An open libxenforeignmemory handle. Maps read-only, unless it is to write.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open libxenforeignmemory.

        Raises:
            LibraryMissingError: It is not installed.
            HostError: Not under Xen, or no permission.
        """
        super().__init__(
            libraries, libraries.xenforeignmemory, "xenforeignmemory_open", "xenforeignmemory_close"
        )

    def _map(self, domid: int, address: int, size: int, protection: int) -> Any:
        pages = range(address // PAGE, (address + size - 1) // PAGE + 1)
        frames = self._ffi.new("xen_pfn_t[]", list(pages))
        pointer = self._lib.xenforeignmemory_map(self._handle, domid, protection, len(pages), frames, self._ffi.NULL)
        if pointer == self._ffi.NULL:
            raise failure("xenforeignmemory_map", self._ffi.errno, domid=domid, log=self._log.take())
        return pointer, len(pages)

    def _unmap(self, pointer: Any, pages: int) -> None:
        if self._lib.xenforeignmemory_unmap(self._handle, pointer, pages) < 0:
            raise HypercallError("xenforeignmemory_unmap", self._ffi.errno)

    def read(self, domid: int, address: int, size: int) -> bytes:
        """Read guest-physical memory.

        Raises:
            HypercallError: A page is not there.
        """
        if size == 0:
            return b""
        pointer, pages = self._map(domid, address, size, PROT_READ)
        try:
            return bytes(self._ffi.buffer(pointer, pages * PAGE)[address % PAGE : address % PAGE + size])
        finally:
            self._unmap(pointer, pages)

    def write(self, domid: int, address: int, data: bytes) -> None:
        """Write guest-physical memory.

        Raises:
            HypercallError: A page is not there.
        """
        if not data:
            return
        pointer, pages = self._map(domid, address, len(data), PROT_READ | PROT_WRITE)
        try:
            self._ffi.buffer(pointer, pages * PAGE)[address % PAGE : address % PAGE + len(data)] = data
        finally:
            self._unmap(pointer, pages)
