# SPDX-License-Identifier: MIT
"""Page tables for stubs: the first four GiB mapped to themselves, in three formats.

Accessed and dirty bits are set beforehand, so that the processor changes nothing.
"""

import struct
from dataclasses import dataclass
from typing import Dict

_PAGE = 0x1000
_TABLE = 0x27  # present, writable, user, accessed
_LARGE = 0xE7  # the same, dirty, large page
_GIBS = 4

#: What the processor sets in an entry when it reads and writes through it.
USED = 0x60

#: Pages that build() fills.
PAGES = 9

#: Code of the first GiB is also seen from here, as a Linux kernel's is.
HIGH_BASE = 0xFFFFFFFF80000000


@dataclass(frozen=True)
class Roots:
    """What goes into CR3, by paging mode.

    Attributes:
        long: Four levels, 2 MiB pages (CR4.PAE, EFER.LME).
        pae: Three levels, 2 MiB pages (CR4.PAE).
        pse: Two levels, 4 MiB pages (CR4.PSE).
    """

    long: int
    pae: int
    pse: int


def roots(base: int) -> Roots:
    """Returns the roots of tables that stand at ``base``."""
    return Roots(long=base, pae=base + 7 * _PAGE, pse=base + 8 * _PAGE)


def entry_of(base: int, address: int) -> int:
    """Returns where the entry stands that maps an address below 4 GiB, in long mode and under PAE."""
    return base + (2 + (address >> 30)) * _PAGE + (address >> 21 & 511) * 8


def build(base: int) -> bytes:
    """Returns the pages that make up the tables, to be written at ``base``.

    Args:
        base: Guest-physical address, page-aligned, below 4 GiB.
    """
    # 0: level 4; 1: level 3; 2 to 5: level 2; 6: level 3 high; 7: PAE; 8: PSE
    pages = [bytearray(_PAGE) for _ in range(PAGES)]

    def entry(page: int, index: int, value: int, size: int = 8) -> None:
        struct.pack_into("<Q" if size == 8 else "<I", pages[page], index * size, value)

    entry(0, 0, base + 1 * _PAGE | _TABLE)
    entry(0, 511, base + 6 * _PAGE | _TABLE)
    entry(6, 510, base + 2 * _PAGE | _TABLE)
    for gib in range(_GIBS):
        entry(1, gib, base + (2 + gib) * _PAGE | _TABLE)
        entry(7, gib, base + (2 + gib) * _PAGE | 1)  # all other bits are reserved here
        for index in range(512):
            entry(2 + gib, index, gib << 30 | index << 21 | _LARGE)
    for index in range(1024):
        entry(8, index, index << 22 | _LARGE, size=4)
    return b"".join(pages)


def bits(mode: str) -> Dict[str, int]:
    """Returns the CR0, CR4 and EFER bits that turn a paging mode on.

    Args:
        mode: ``none``, ``pse``, ``pae`` or ``long``.
    """
    return {
        "none": {"cr0": 0x11, "cr4": 0, "efer": 0},
        "pse": {"cr0": 0x80000011, "cr4": 0x10, "efer": 0},
        "pae": {"cr0": 0x80000011, "cr4": 0x20, "efer": 0},
        "long": {"cr0": 0x80000011, "cr4": 0x20, "efer": 0x500},
    }[mode]
