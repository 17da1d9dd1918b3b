# SPDX-License-Identifier: MIT
"""The CPU policy of a model's domain, as leaves: what makes Xen allow just what the domain may set."""

from __future__ import annotations

from typing import Dict, Iterator, List, Tuple

from xenvcpu.abi import cpuid
from xenvcpu.abi.cpuid import FEATURES, NO_SUBLEAF, Leaf
from xenvcpu.rules import control
from xenvcpu.rules.control import CR4_BITS, EFER_BITS
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release

_SIGNATURES = {"intel": b"GenuineIntel", "amd": b"AuthenticAMD"}
_MOST_BASIC, _MOST_EXTENDED = 0xD, 0x80000021


def _names(features: Features, release: Release) -> Iterator[str]:
    """The features that allow what the domain may set."""
    cr4 = control.allowed(features.cr4_valid, control.cr4_known(release), release)
    efer = control.allowed(features.efer_valid, control.efer_known(release), release)
    for mask, bits in ((cr4, CR4_BITS), (efer, EFER_BITS)):
        for bit in bits:
            if mask & bit.mask and release in bit.releases:
                yield from (name for name in bit.features if name in FEATURES)


def leaves(features: Features, vendor: str, release: Release) -> Tuple[Leaf, ...]:
    """The leaves of a domain that may set this, on a host of this vendor."""
    registers: Dict[Tuple[int, int], List[int]] = {(7, 0): [1, 0, 0, 0]}
    for place in (FEATURES[name] for name in _names(features, release)):
        registers.setdefault((place.leaf, place.subleaf), [0] * 4)["abcd".index(place.register)] |= 1 << place.bit
    registers[cpuid.ADDRESSES, NO_SUBLEAF] = [features.maxphysaddr or control.PHYSICAL_MOST, 0, 0, 0]
    b, d, c = (int.from_bytes(_SIGNATURES[vendor][at : at + 4], "little") for at in (0, 4, 8))
    registers[cpuid.FIRST, NO_SUBLEAF] = [_MOST_BASIC, b, c, d]
    registers[_MOST_EXTENDED & ~0xFF, NO_SUBLEAF] = [_MOST_EXTENDED, b, c, d]
    return tuple(Leaf(*number, *values) for number, values in sorted(registers.items()))
