# SPDX-License-Identifier: MIT
"""The stand-in for libxenforeignmemory. Source: tools/libs/foreignmemory, Xen 4.7 to 4.22."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Dict, Iterator, List

from xenvcpu._xen import ffi
from xenvcpu.model.answer import Refused
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.mapping import Mapping
from xenvcpu.model.standin import MisuseError, StandIn, address, prototype

if TYPE_CHECKING:
    from xenvcpu.model.libraries import ModelLibraries

PROT_WRITE = 2
_IOREQ_SERVER, _FRAME_IOREQ = 0, 1
"""XENMEM_resource_ioreq_server, and the frame of its page of accesses."""


class LibXenForeignMemory(StandIn):
    """libxenforeignmemory."""

    name = "libxenforeignmemory"

    def __init__(self, libraries: ModelLibraries) -> None:
        super().__init__(libraries)
        self._resources: Dict[int, Any] = {}

    @prototype("xenforeignmemory_handle *(*)(xentoollog_logger *, unsigned int)")
    def xenforeignmemory_open(self, logger: Any, flags: int) -> Any:
        return self._open("xenforeignmemory_handle *", {}, logger=logger)

    @prototype("int(*)(xenforeignmemory_handle *)")
    def xenforeignmemory_close(self, handle: Any) -> int:
        self._close(handle)
        return 0

    @prototype("void *(*)(xenforeignmemory_handle *, uint32_t, int, size_t, const xen_pfn_t *, int *)")
    def xenforeignmemory_map(
        self, handle: Any, domid: int, protection: int, count: int, frames: Any, errors: Any
    ) -> Any:
        mappings: Dict[int, List[Mapping]] = self._state(handle)
        host = self.libraries.host
        caller = host.domains.get(self.libraries.here)
        host.begin("foreign_map", changes=bool(protection & PROT_WRITE))
        if caller is None or not caller.is_privileged:
            raise Refused(errno.EPERM)
        domain = host.domain(domid)
        wanted = list(ffi.unpack(frames, count))
        is_there = [domain.memory.has(frame) for frame in wanted]
        if errors != ffi.NULL:
            for index, there in enumerate(is_there):
                errors[index] = 0 if there else -errno.EINVAL
        elif not all(is_there):
            raise Refused(errno.EINVAL)
        is_writable = bool(protection & PROT_WRITE)
        mapping = Mapping(domain, wanted, is_writable=is_writable, is_copy=self.libraries.path is not None)
        mappings.setdefault(address(mapping.pointer), []).append(mapping)
        return mapping.pointer

    @prototype("int(*)(xenforeignmemory_handle *, void *, size_t)")
    def xenforeignmemory_unmap(self, handle: Any, pointer: Any, count: int) -> int:
        here: List[Mapping] = self._state(handle).get(address(pointer), [])
        mapping = next((each for each in here if each.pages == count), None)
        if mapping is None:
            raise MisuseError(f"{pointer!r} is not a mapping of {count} pages")
        here.remove(mapping)
        mapping.push(self.libraries.host)
        return 0

    @prototype(
        "xenforeignmemory_resource_handle *(*)(xenforeignmemory_handle *, uint16_t, unsigned int, unsigned int,"
        " unsigned long, unsigned long, void **, int, int)"
    )
    def xenforeignmemory_map_resource(
        self, handle: Any, domid: int, kind: int, server: int, frame: int, count: int, place: Any, protection: int,
        flags: int,
    ) -> Any:
        self._state(handle)
        host = self.libraries.host
        caller = host.domains.get(self.libraries.here)
        host.begin("acquire_resource")
        if caller is None or not caller.is_privileged:
            raise Refused(errno.EPERM)
        domain = host.domain(domid)
        if not domain.is_hvm or (kind, frame, count) != (_IOREQ_SERVER, _FRAME_IOREQ, 1):
            raise Refused(errno.EINVAL)
        found = domain.ioreq_servers.get(server)
        if found is None:
            raise Refused(errno.ENOENT)
        if found.emulator != caller.domid or found.is_in_guest:
            raise Refused(errno.EPERM)
        shown, resource = ffi.from_buffer(found.page), ffi.new("char[16]")
        place[0] = shown
        self._resources[address(resource)] = resource, shown
        return resource

    @prototype("int(*)(xenforeignmemory_handle *, xenforeignmemory_resource_handle *)")
    def xenforeignmemory_unmap_resource(self, handle: Any, resource: Any) -> int:
        self._state(handle)
        if self._resources.pop(address(resource), None) is None:
            raise MisuseError(f"{resource!r} is not a mapped resource")
        return 0

    @property
    def _mappings(self) -> Iterator[Mapping]:
        return (each for _, state in self._handles.values() for here in state.values() for each in here)

    def exchange(self, host: Hypervisor) -> bool:
        """Bring what was written through mappings to the guests, and show in them what the guests have now.

        Returns:
            Whether anything was written.
        """
        mappings = list(self._mappings)
        is_written = any([mapping.push(host) for mapping in mappings])
        for mapping in mappings:
            mapping.pull(host)
        return is_written

    @property
    def open_mappings(self) -> int:
        """How many mappings are not unmapped."""
        return len(list(self._mappings)) + len(self._resources)
