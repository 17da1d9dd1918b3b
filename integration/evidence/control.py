# SPDX-License-Identifier: MIT
"""A domain's flags and pauses, through libxenctrl and nothing of the package.

``xl`` says the same, but takes a tenth of a second and more for it.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List

import cffi

#: Flags of struct xen_domctl_getdomaininfo, which begins alike in every release.
_SHUTDOWN = 1 << 2
_PAUSED = 1 << 3
#: Room for that struct of any release.
_LARGEST_INFO = 256
_FOLDER = Path("/usr/lib/x86_64-linux-gnu")

_ffi = cffi.FFI()
_ffi.cdef(
    """
    typedef struct xc_interface xc_interface;
    xc_interface *xc_interface_open(void *logger, void *dombuild_logger, unsigned open_flags);
    int xc_interface_close(xc_interface *xch);
    int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int most, void *info);
    int xc_vcpu_getinfo(xc_interface *xch, uint32_t domid, uint32_t vcpu, void *info);
    int xc_domain_pause(xc_interface *xch, uint32_t domid);
    int xc_domain_unpause(xc_interface *xch, uint32_t domid);
    """
)


class Control:
    """A handle on libxenctrl. Not for use after a fork: the child opens its own."""

    def __init__(self) -> None:
        # Debian has one release's library installed at a time
        names = sorted(str(path) for path in _FOLDER.glob("libxenctrl.so.4.*")) or ["libxenctrl.so"]
        self._lib: Any = _ffi.dlopen(names[-1])
        self._handle: Any = self._lib.xc_interface_open(_ffi.NULL, _ffi.NULL, 0)
        if self._handle == _ffi.NULL:
            raise OSError(_ffi.errno, f"xc_interface_open: {os.strerror(_ffi.errno)}")

    def close(self) -> None:
        """Gives the handle back; may be called again."""
        if self._handle is not None:
            self._lib.xc_interface_close(self._handle)
            self._handle = None

    def _flags(self, domid: int) -> int:
        info = _ffi.new("uint8_t[]", _LARGEST_INFO)
        found = self._lib.xc_domain_getinfolist(self._handle, domid, 1, info)
        data = bytes(_ffi.buffer(info, 8))
        if found != 1 or int.from_bytes(data[:2], "little") != domid:
            raise ProcessLookupError(f"there is no d{domid}")
        return int.from_bytes(data[4:8], "little")

    def is_paused(self, domid: int) -> bool:
        """Says whether anybody holds a pause on a domain."""
        return bool(self._flags(domid) & _PAUSED)

    def is_shut_down(self, domid: int) -> bool:
        """Says whether a domain has shut down or crashed."""
        return bool(self._flags(domid) & _SHUTDOWN)

    def _checked(self, name: str, domid: int, *more: Any) -> None:
        if getattr(self._lib, name)(self._handle, domid, *more):
            raise OSError(_ffi.errno, f"{name} d{domid}: {os.strerror(_ffi.errno)}")

    def online(self, domid: int, vcpus: int) -> List[int]:
        """Returns those of so many vcpus that are up."""
        info = _ffi.new("uint8_t[]", _LARGEST_INFO)
        found = []
        for vcpuid in range(vcpus):
            self._checked("xc_vcpu_getinfo", domid, vcpuid, info)
            if info[4]:  # struct xen_domctl_getvcpuinfo: its number, then whether it is online
                found.append(vcpuid)
        return found

    def pause(self, domid: int) -> None:
        """Takes one pause on a domain."""
        self._checked("xc_domain_pause", domid)

    def unpause(self, domid: int) -> None:
        """Gives one pause back."""
        self._checked("xc_domain_unpause", domid)

    @contextmanager
    def paused(self, domid: int) -> Iterator[None]:
        """Holds a pause, so that a load of what was read within it takes no vcpu back in time."""
        self.pause(domid)
        try:
            yield
        finally:
            self.unpause(domid)
