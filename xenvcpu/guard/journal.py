# SPDX-License-Identifier: MIT
"""What a program and its guard know of each other, in memory that both share."""

from __future__ import annotations

import enum
import mmap
import os
import struct
import uuid
from typing import Optional, Tuple

from xenvcpu.capture import Capture
from xenvcpu.errors import FormatError

_PAUSE, _WAS_PAUSED, _TOUCHING = range(3)
"""Flags are single bytes: a process that is killed has either written one, or not."""
_DOMAIN = struct.Struct("<I16s")
_DOMAIN_AT = 8
_PLACES = struct.Struct("<I")
_PLACES_AT = (0, 32, 36)
"""Where the place of the capture stands, by the value of _TOUCHING: a capture is never written over one that counts."""
_FIRST = 64
_ROOM = 1 << 12


class Pause(enum.IntEnum):
    """What the guard does with its pause: only while TAKING or GIVING it is unknown whether Xen counts it."""

    FREE = 0
    TAKING = 1
    HELD = 2
    GIVING = 3


class Journal:
    """The shared memory: written by the program, but for the state of the pause.

    Attributes:
        descriptor: Of the memory, for a process that shall share it.

    Synchronization: the two take turns; whoever reads after the other's death sees its last write.
    """

    def __init__(self, descriptor: Optional[int] = None) -> None:
        """Make one, or share that of a descriptor."""
        if descriptor is None:
            descriptor = os.memfd_create("xenvcpu-journal", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, _ROOM)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._end = _FIRST

    def close(self) -> None:
        """Give the memory back; a second time does nothing."""
        if self.descriptor >= 0:
            self._memory.close()
            os.close(self.descriptor)
            self.descriptor = -1

    def _map(self) -> mmap.mmap:
        """The memory, also where the other one has made it longer."""
        size = os.fstat(self.descriptor).st_size
        if size != len(self._memory):
            self._memory.close()
            self._memory = mmap.mmap(self.descriptor, size)
        return self._memory

    @property
    def pause(self) -> Pause:
        """What the guard does with its pause."""
        return Pause(self._memory[_PAUSE])

    @pause.setter
    def pause(self, pause: Pause) -> None:
        self._memory[_PAUSE] = pause

    @property
    def was_paused(self) -> bool:
        """Whether somebody else held a pause when the guard took its own."""
        return bool(self._memory[_WAS_PAUSED])

    @was_paused.setter
    def was_paused(self, was_paused: bool) -> None:
        self._memory[_WAS_PAUSED] = was_paused

    @property
    def domain(self) -> Tuple[int, uuid.UUID]:
        """The domain that it is about: domid and handle."""
        domid, handle = _DOMAIN.unpack_from(self._memory, _DOMAIN_AT)
        return domid, uuid.UUID(bytes=handle)

    @domain.setter
    def domain(self, domain: Tuple[int, uuid.UUID]) -> None:
        _DOMAIN.pack_into(self._memory, _DOMAIN_AT, domain[0], domain[1].bytes)

    def touching(self, capture: Capture) -> None:
        """The domain is about to be touched, or put back: from here on this is what it is to be.

        A capture that counts until then counts until the last byte of the new one is there.
        """
        before = self._memory[_TOUCHING]
        number = 2 if before == 1 else 1
        at = self._end if before else _FIRST
        head, stream = capture.parts()
        stream_at = at + len(head)
        end = stream_at + len(stream)
        if end > len(self._memory):
            os.ftruncate(self.descriptor, end)
        memory = self._map()
        memory[at:stream_at] = head
        memory[stream_at:end] = stream
        _PLACES.pack_into(memory, _PLACES_AT[number], at)
        memory[_TOUCHING] = number
        self._end = end

    def settled(self) -> None:
        """The domain is as it shall be: nothing is to be put back."""
        self._memory[_TOUCHING] = 0

    @property
    def capture(self) -> Optional[Capture]:
        """What is to be put back; None when nothing is.

        Raises:
            FormatError: The memory was written by another program.
        """
        memory = self._map()
        number = memory[_TOUCHING]
        if not number:
            return None
        if number >= len(_PLACES_AT):
            raise FormatError(f"the journal has no capture {number}", offset=_TOUCHING)
        (at,) = _PLACES.unpack_from(memory, _PLACES_AT[number])
        return Capture.unpack(memory[at:])
