# SPDX-License-Identifier: MIT
"""A mapping of a guest's pages into the program's memory.

In memory, frames that follow each other are mapped as they are: the program and the guest
see at once what the other writes. Any other set of frames, and every mapping before a world
file, is a copy with one rule: the bytes that the program has changed go to the guest when it
next calls the library, and no others do; where two have written the same byte, the later call
wins. Before a world file that is every C call on any handle, and what other processes have written
shows in the mapping then. In memory it is the unmapping.
"""

from __future__ import annotations

from typing import Any, Dict, List

from xenvcpu._xen import ffi
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.memory import PAGE, Memory


class Mapping:
    """One mapping.

    Attributes:
        pointer: Where the program sees the pages; they live as long as this does.
        pages: How many.
    """

    def __init__(self, domain: Domain, frames: List[int], *, is_writable: bool, is_copy: bool) -> None:
        """Map frames of a domain; those that it does not have are left out of a copy.

        Args:
            domain: Whose.
            frames: Their numbers, in the order wanted.
            is_writable: Whether what the program writes there is to reach the guest.
            is_copy: Whether it must be a copy.
        """
        memory = domain.memory
        self.pages = len(frames)
        self._owner = domain.domid, domain.handle
        self._is_writable = is_writable
        self._frames: Dict[int, int] = {}
        self._known: Dict[int, bytes] = {}
        is_run = bool(frames) and frames == [*range(frames[0], frames[0] + len(frames))]
        if is_run and all(map(memory.has, frames)) and not is_copy:
            if is_writable:
                memory.touched.update(frames)
            self.pointer: Any = ffi.from_buffer("char[]", memory.ram) + frames[0] * PAGE
            return
        self.pointer = ffi.new("char[]", max(len(frames), 1) * PAGE)
        self._frames = {index: frame for index, frame in enumerate(frames) if memory.has(frame)}
        self._fill(memory)

    def _memory(self, host: Hypervisor) -> Any:
        """The memory that was mapped; None if its domain is gone."""
        domid, handle = self._owner
        domain = host.domains.get(domid)
        return domain.memory if domain is not None and domain.handle == handle else None

    def _shown(self, index: int) -> bytes:
        return bytes(ffi.buffer(self.pointer + index * PAGE, PAGE))

    def _fill(self, memory: Memory) -> None:
        for index, frame in self._frames.items():
            page = memory.read(frame * PAGE, PAGE)
            if self._known.get(index) != page:
                ffi.memmove(self.pointer + index * PAGE, page, PAGE)
                self._known[index] = page

    def push(self, host: Hypervisor) -> bool:
        """Write to the guest the bytes of a copy that the program has changed.

        Returns:
            Whether there were any.
        """
        memory = self._memory(host) if self._is_writable else None
        if memory is None:
            return False
        is_written = False
        for index, frame in self._frames.items():
            known, shown = self._known[index], self._shown(index)
            if shown != known and memory.has(frame):
                there = memory.read(frame * PAGE, PAGE)
                memory.write(frame * PAGE, bytes(t if s == k else s for t, s, k in zip(there, shown, known)))
                self._known[index] = shown
                is_written = True
        return is_written

    def pull(self, host: Hypervisor) -> None:
        """Show in a copy what the guest has now."""
        memory = self._memory(host)
        if memory is not None:
            self._fill(memory)
