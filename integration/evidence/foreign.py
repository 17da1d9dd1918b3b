# SPDX-License-Identifier: MIT
"""A guest's memory, through libxenforeignmemory and nothing of the package."""

import os
from typing import Any, List, Optional

import cffi

_PAGE = 4096
_PROT_READ_WRITE = 3

_ffi = cffi.FFI()
_ffi.cdef(
    """
    typedef struct xenforeignmemory_handle xenforeignmemory_handle;
    xenforeignmemory_handle *xenforeignmemory_open(void *logger, unsigned open_flags);
    int xenforeignmemory_close(xenforeignmemory_handle *fmem);
    void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot,
                               size_t pages, const unsigned long *arr, int *err);
    int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages);
    """
)
_library: List[Any] = []


def _lib() -> Any:
    if not _library:
        _library.append(_ffi.dlopen("libxenforeignmemory.so.1"))
    return _library[0]


class GuestMemory:
    """Reads and writes guest-physical memory of one domain.

    Pages are mapped for the length of a call only, so that a destroyed domain
    is not kept alive by them.

    Args:
        domid: The domain.
    """

    def __init__(self, domid: int) -> None:
        self.domid = domid
        self._handle = _lib().xenforeignmemory_open(_ffi.NULL, 0)
        if self._handle == _ffi.NULL:
            raise OSError(_ffi.errno, f"xenforeignmemory_open: {os.strerror(_ffi.errno)}")

    def close(self) -> None:
        """Gives the handle back; may be called again."""
        if self._handle is not None:
            _lib().xenforeignmemory_close(self._handle)
            self._handle = None

    def _access(self, address: int, size: int, data: Optional[bytes]) -> bytes:
        first, offset = divmod(address, _PAGE)
        count = (offset + size + _PAGE - 1) // _PAGE
        frames = _ffi.new("unsigned long[]", list(range(first, first + count)))
        mapped = _lib().xenforeignmemory_map(
            self._handle, self.domid, _PROT_READ_WRITE, count, frames, _ffi.NULL
        )
        if mapped == _ffi.NULL:
            reason = os.strerror(_ffi.errno)
            raise OSError(_ffi.errno, f"mapping d{self.domid} {address:#x}+{size:#x}: {reason}")
        try:
            view = _ffi.buffer(mapped, count * _PAGE)
            if data is not None:
                view[offset : offset + size] = data
            return bytes(view[offset : offset + size])
        finally:
            _lib().xenforeignmemory_unmap(self._handle, mapped, count)

    def read(self, address: int, size: int) -> bytes:
        """Returns ``size`` bytes at a guest-physical address."""
        return self._access(address, size, None)

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes at a guest-physical address."""
        self._access(address, len(data), data)

    def read_word(self, address: int, size: int = 4) -> int:
        """Returns a little-endian number."""
        return int.from_bytes(self.read(address, size), "little")

    def write_word(self, address: int, value: int, size: int = 4) -> None:
        """Writes a little-endian number."""
        self.write(address, value.to_bytes(size, "little"))
