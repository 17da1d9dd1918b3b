# SPDX-License-Identifier: MIT
"""Descriptor tables for stubs that take traps, and the trap that one took."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from integration.evidence.foreign import GuestMemory
from integration.guest import layout

VECTORS = 32
DIVIDE_ERROR, DEBUG, INVALID_OPCODE, GENERAL_PROTECTION = 0, 1, 6, 13
_WITH_ERROR = frozenset([8, 10, 11, 12, 13, 14, 17])
_CODE_32, _CODE_64, _DATA = 0x00CF9B000000FFFF, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
_PRESENT_GATE = 0x8E


@dataclass(frozen=True)
class Trap:
    """A trap that was taken.

    Attributes:
        vector: Its number.
        ip: The offset of the instruction that it came from or would go on with.
        error: The error code; None for a vector that has none.
    """

    vector: int
    ip: int
    error: Optional[int] = None


class Traps:
    """The trap tables of a guest: one vcpu at a time uses them.

    Args:
        memory: The guest's memory.
        blobs: Directory of the assembled programs.
        wide: Whether the gates are those of long mode; of compatibility mode they are too.
    """

    def __init__(self, memory: GuestMemory, blobs: Path, wide: bool) -> None:
        self._memory = memory
        memory.write(layout.TRAP_GDT, struct.pack("<3Q", 0, _CODE_64 if wide else _CODE_32, _DATA))
        memory.write(layout.TRAP_HANDLERS, (blobs / "traps.bin").read_bytes())
        memory.write(layout.TRAP_IDT, b"".join(_gate(vector, wide) for vector in range(VECTORS)))
        memory.write(layout.TRAP_STATE, bytes(24))

    def taken(self) -> Optional[Trap]:
        """Returns the trap that was taken last, None if none was."""
        first, second, vector, marker = struct.unpack("<QQII", self._memory.read(layout.TRAP_STATE, 24))
        if marker != layout.MARKER:
            return None
        return Trap(vector, second, first) if vector in _WITH_ERROR else Trap(vector, first)


def _gate(vector: int, wide: bool) -> bytes:
    handler = layout.TRAP_HANDLERS + vector * layout.TRAP_STRIDE
    gate = struct.pack("<HHBBH", handler & 0xFFFF, layout.TRAP_CODE, 0, _PRESENT_GATE, handler >> 16)
    return gate + bytes(8) if wide else gate
