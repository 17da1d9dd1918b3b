# SPDX-License-Identifier: MIT
"""The CPUID leaves of a domain's CPU policy: `xen_cpuid_leaf_t`, and where in them each feature is.

Source: xen/include/public/arch-x86/xen.h and cpufeatureset.h; the struct is the same from 4.12 to 4.22.
"""

from __future__ import annotations

import struct
from typing import Iterable, Mapping, NamedTuple, Optional

from xenvcpu.errors import FormatError

NO_SUBLEAF = 0xFFFFFFFF
"""The subleaf of a leaf that has none (XEN_CPUID_NO_SUBLEAF)."""
_ENTRY = struct.Struct("<6I")
SIZE = _ENTRY.size
"""sizeof(xen_cpuid_leaf_t)."""
FIRST, BASIC, EXTENDED, ADDRESSES = 0, 1, 0x80000001, 0x80000008
_WIDTH = 0xFF
"""The low byte of EAX in leaf 0x80000008 is the width of a physical address."""


class Leaf(NamedTuple):
    """One leaf: its number and subleaf, and what CPUID answers in EAX to EDX."""

    leaf: int
    subleaf: int = NO_SUBLEAF
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0


class Place(NamedTuple):
    """Where a feature is: the leaf, the register (`a` to `d`) and the bit."""

    leaf: int
    subleaf: int
    register: str
    bit: int


def _places(leaf: int, subleaf: int, register: str, **bits: int) -> Mapping[str, Place]:
    return {name: Place(leaf, subleaf, register, bit) for name, bit in bits.items()}


FEATURES: Mapping[str, Place] = {
    **_places(
        BASIC, NO_SUBLEAF, "d", vme=1, de=2, pse=3, tsc=4, pae=6, mce=7, pge=13, mca=14, fxsr=24, sse=25,
    ),
    **_places(BASIC, NO_SUBLEAF, "c", vmx=5, pcid=17, xsave=26),
    **_places(7, 0, "b", fsgsbase=0, smep=7, smap=20),
    **_places(7, 0, "c", umip=2, pku=3, cet_ss=7, pks=31),
    **_places(7, 0, "d", cet_ibt=20),
    **_places(7, 1, "a", lass=6),
    **_places(EXTENDED, NO_SUBLEAF, "d", syscall=11, nx=20, ffxsr=25, lm=29),
    **_places(EXTENDED, NO_SUBLEAF, "c", svm=2),
    **_places(0x80000021, NO_SUBLEAF, "a", auto_ibrs=8),
}
"""Each feature that allows a bit of CR4 or EFER, under Xen's name."""


class Leaves:
    """The leaves of one CPU policy. One that is not among them is zero, as Xen takes it."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._leaves = {(leaf.leaf, leaf.subleaf): leaf for leaf in leaves}

    def _leaf(self, leaf: int, subleaf: int) -> Leaf:
        return self._leaves.get((leaf, subleaf), Leaf(leaf, subleaf))

    def has(self, feature: str) -> bool:
        """Whether the policy has a feature, one of `FEATURES`."""
        place = FEATURES[feature]
        register: int = getattr(self._leaf(place.leaf, place.subleaf), place.register)
        return bool(register >> place.bit & 1)

    @property
    def maxphysaddr(self) -> Optional[int]:
        """Width of a physical address in bits; None where no leaf holds it."""
        return self._leaf(ADDRESSES, NO_SUBLEAF).a & _WIDTH or None


def decode(data: bytes) -> Leaves:
    """Read an array of `xen_cpuid_leaf_t`.

    Raises:
        FormatError: Its length is no multiple of an entry's.
    """
    if len(data) % SIZE:
        raise FormatError(
            f"xen_cpuid_leaf_t is {SIZE} bytes, and {len(data)} bytes are no number of them", offset=len(data)
        )
    return Leaves(Leaf(*entry) for entry in _ENTRY.iter_unpack(data))


def encode(leaves: Iterable[Leaf]) -> bytes:
    """Write an array of `xen_cpuid_leaf_t`."""
    return b"".join(_ENTRY.pack(*leaf) for leaf in leaves)
