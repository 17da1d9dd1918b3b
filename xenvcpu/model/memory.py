# SPDX-License-Identifier: MIT
"""A guest's memory: pages of 4 KiB in one stretch of real memory, which the kernel fills in when touched."""

from __future__ import annotations

import mmap
from functools import cached_property
from typing import Dict, Set

PAGE = 4096


class Memory:
    """Guest-physical memory from address 0 up.

    Attributes:
        size: How many pages the guest has.
        touched: The frames that were written or mapped for writing; every other page is zero.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.touched: Set[int] = set()

    @cached_property
    def ram(self) -> mmap.mmap:
        """The bytes themselves."""
        return mmap.mmap(-1, self.size * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def has(self, frame: int) -> bool:
        """Whether there is memory at a frame."""
        return 0 <= frame < self.size

    def _require(self, address: int, size: int) -> None:
        if address < 0 or address + size > self.size * PAGE:
            raise IndexError(f"no memory at {address:#x} to {address + size:#x}, the guest has {self.size} pages")

    def touch(self, frame: int) -> None:
        """Note that a page may be written from now on."""
        self.touched.add(frame)

    def read(self, address: int, size: int) -> bytes:
        """Read guest-physical memory.

        Raises:
            IndexError: A part of it is not there.
        """
        self._require(address, size)
        return self.ram[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        """Write guest-physical memory.

        Raises:
            IndexError: A part of it is not there; nothing is written then.
        """
        self._require(address, len(data))
        self.ram[address : address + len(data)] = data
        self.touched.update(range(address // PAGE, (address + len(data) + PAGE - 1) // PAGE))

    @property
    def pages(self) -> Dict[int, bytes]:
        """The pages that are not all zero, by frame."""
        zero = bytes(PAGE)
        found = {frame: self.read(frame * PAGE, PAGE) for frame in sorted(self.touched)}
        return {frame: page for frame, page in found.items() if page != zero}
