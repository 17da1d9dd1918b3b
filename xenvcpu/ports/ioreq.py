# SPDX-License-Identifier: MIT
"""The ioreq pages of a domain: what its vcpus ask of device models."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, List

from xenvcpu.errors import LibraryMissingError
from xenvcpu.ports.failure import failure
from xenvcpu.ports.handle import LibraryHandle
from xenvcpu.ports.memory import PAGE, PROT_READ

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

RESOURCE_IOREQ_SERVER = 0
FRAME_IOREQ = 1
"""XENMEM_resource_ioreq_server_frame_ioreq(0); frame 0 is the page of buffered writes."""


class IoreqPort(LibraryHandle):
    """An open libxenforeignmemory handle, and the pages that were mapped through it.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open libxenforeignmemory.

        Raises:
            LibraryMissingError: It is not installed, or older than that of Xen 4.11.
            HostError: Not under Xen, or no permission.
        """
        library = libraries.xenforeignmemory
        try:
            self._map_resource = library.xenforeignmemory_map_resource
            self._unmap_resource = library.xenforeignmemory_unmap_resource
        except (AttributeError, libraries.ffi.error) as error:
            raise LibraryMissingError(
                "libxenforeignmemory is older than that of Xen 4.11: it has no xenforeignmemory_map_resource; install"
                " that of the running Xen", name="libxenforeignmemory",
            ) from error
        self._pages: List[Any] = []
        self._resources: List[Any] = []
        super().__init__(libraries, library, "xenforeignmemory_open", "xenforeignmemory_close")

    def map(self, domid: int, server: int) -> bool:
        """Map the page of one ioreq server (XENMEM_acquire_resource), to read.

        Returns:
            Whether the domain has that server.

        Raises:
            XenVcpuError: It cannot be mapped.
        """
        place = self._ffi.new("void **")
        resource = self._map_resource(
            self._handle, domid, RESOURCE_IOREQ_SERVER, server, FRAME_IOREQ, 1, place, PROT_READ, 0
        )
        if resource == self._ffi.NULL:
            number = self._ffi.errno
            log = self._log.take()
            if number == errno.ENOENT:
                return False
            raise failure("xenforeignmemory_map_resource", number, domid=domid, log=log)
        self._resources.append(resource)
        self._pages.append(place[0])
        return True

    def pages(self) -> List[bytes]:
        """What stands in the mapped pages now; no C call."""
        return [bytes(self._ffi.buffer(page, PAGE)) for page in self._pages]

    def close(self) -> None:
        """Unmap what is mapped, and close the handle; a second time does nothing."""
        self._pages = []
        while self._resources and not self._unusable:
            self._unmap_resource(self._handle, self._resources.pop())
        super().close()
