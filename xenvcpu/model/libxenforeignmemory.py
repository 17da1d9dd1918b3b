# SPDX-License-Identifier: MIT
"""The stand-in for libxenforeignmemory: real memory that is the guest's.

Frames that follow each other are mapped as they are: what is written there the guest sees at
once. Any other set of frames is a copy that goes back when it is unmapped.
Source: tools/libs/foreignmemory, Xen 4.7 to 4.22.
"""

from __future__ import annotations

import errno
from typing import Any, List, NamedTuple

from xenvcpu._xen import ffi
from xenvcpu.model.answer import Refused
from xenvcpu.model.memory import PAGE, Memory
from xenvcpu.model.standin import MisuseError, StandIn, address, prototype

PROT_WRITE = 2


class _Mapping(NamedTuple):
    """One mapping: its pointer and what keeps it alive; for a copy, where it goes back to."""

    pointer: Any
    memory: Memory
    frames: List[int]
    goes_back: bool


class LibXenForeignMemory(StandIn):
    """libxenforeignmemory."""

    name = "libxenforeignmemory"

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
        mappings = self._state(handle)
        host = self.libraries.host
        caller = host.domains.get(self.libraries.here)
        host.begin("foreign_map", changes=bool(protection & PROT_WRITE))
        if caller is None or not caller.is_privileged:
            raise Refused(errno.EPERM)
        memory = host.domain(domid).memory
        wanted = list(ffi.unpack(frames, count))
        is_there = [memory.has(frame) for frame in wanted]
        if errors != ffi.NULL:
            for index, there in enumerate(is_there):
                errors[index] = 0 if there else -errno.EINVAL
        elif not all(is_there):
            raise Refused(errno.EINVAL)
        mapping = _map(memory, wanted, is_there, bool(protection & PROT_WRITE))
        mappings.setdefault(address(mapping.pointer), []).append(mapping)
        return mapping.pointer

    @prototype("int(*)(xenforeignmemory_handle *, void *, size_t)")
    def xenforeignmemory_unmap(self, handle: Any, pointer: Any, count: int) -> int:
        here: List[_Mapping] = self._state(handle).get(address(pointer), [])
        mapping = next((each for each in here if len(each.frames) == count), None)
        if mapping is None:
            raise MisuseError(f"{pointer!r} is not a mapping of {count} pages")
        here.remove(mapping)
        if mapping.goes_back:
            for index, frame in enumerate(mapping.frames):
                if mapping.memory.has(frame):
                    mapping.memory.write(frame * PAGE, bytes(ffi.buffer(mapping.pointer + index * PAGE, PAGE)))
        return 0

    @property
    def open_mappings(self) -> int:
        """How many mappings are not unmapped."""
        return sum(len(here) for _, state in self._handles.values() for here in state.values())


def _map(memory: Memory, frames: List[int], is_there: List[bool], is_written: bool) -> _Mapping:
    is_run = all(is_there) and frames == list(range(frames[0], frames[0] + len(frames))) if frames else False
    if is_run:
        if is_written:
            memory.touched.update(frames)
        return _Mapping(ffi.from_buffer("char[]", memory.ram) + frames[0] * PAGE, memory, frames, False)
    pointer = ffi.new("char[]", max(len(frames), 1) * PAGE)
    for index, frame in enumerate(frames):
        if is_there[index]:
            ffi.memmove(pointer + index * PAGE, memory.read(frame * PAGE, PAGE), PAGE)
    return _Mapping(pointer, memory, frames, is_written)
