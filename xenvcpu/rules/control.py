# SPDX-License-Identifier: MIT
"""The bits of CR0, CR4 and EFER: their names, which feature allows each, since which release.

Source: hvm_cr4_guest_valid_bits (hvm_cr4_guest_reserved_bits up to 4.8) and hvm_efer_valid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterable, NamedTuple, Optional, Tuple

from xenvcpu.rules.release import ALWAYS, Release, Since, Until


class ControlBit(NamedTuple):
    """One bit of a control register.

    Attributes:
        name: As in the manuals.
        bit: Its number.
        feature: The CPU feature that the domain's policy must have; "" when the bit is always allowed.
        releases: The releases of Xen that know the bit.
    """

    name: str
    bit: int
    feature: str
    releases: Since = ALWAYS

    @property
    def features(self) -> Tuple[str, ...]:
        """The CPU features of which any one allows it; empty when it is always allowed."""
        return tuple(self.feature.partition(",")[0].split(" or ")) if self.feature else ()

    @property
    def mask(self) -> int:
        """The bit as a mask."""
        return 1 << self.bit


CR4_BITS: Tuple[ControlBit, ...] = (
    ControlBit("VME", 0, "vme"), ControlBit("PVI", 1, "vme"), ControlBit("TSD", 2, "tsc"), ControlBit("DE", 3, "de"),
    ControlBit("PSE", 4, "pse"), ControlBit("PAE", 5, "pae"), ControlBit("MCE", 6, "mce or mca"),
    ControlBit("PGE", 7, "pge"), ControlBit("PCE", 8, ""), ControlBit("OSFXSR", 9, "fxsr"),
    ControlBit("OSXMMEXCPT", 10, "sse"), ControlBit("UMIP", 11, "umip", Since("4.10")),
    ControlBit("VMXE", 13, "vmx, and nested virtualisation enabled"), ControlBit("FSGSBASE", 16, "fsgsbase"),
    ControlBit("PCIDE", 17, "pcid"), ControlBit("OSXSAVE", 18, "xsave"), ControlBit("SMEP", 20, "smep"),
    ControlBit("SMAP", 21, "smap"), ControlBit("PKE", 22, "pku"),
    ControlBit("CET", 23, "cet_ss or cet_ibt", Since("4.16")),
    ControlBit("PKS", 24, "pks", Since("4.18")), ControlBit("LASS", 27, "lass", Since("4.22")),
)

EFER_BITS: Tuple[ControlBit, ...] = (
    ControlBit("SCE", 0, "syscall"), ControlBit("LME", 8, "lm"), ControlBit("LMA", 10, "lm"),
    ControlBit("NXE", 11, "nx"),
    ControlBit("SVME", 12, "svm, and nested virtualisation enabled"), ControlBit("LMSLE", 13, "lmsl", Until("4.12")),
    ControlBit("FFXSE", 14, "ffxsr"), ControlBit("AIBRSE", 21, "auto_ibrs", Since("4.18")),
)

CR4_BASELINE = 0x7FC
"""CR4 bits that every x86-64 processor allows; TSD to OSXMMEXCPT."""
EFER_BASELINE = 0xD01
"""EFER bits that every x86-64 processor allows: SCE, LME, LMA, NXE."""
PHYSICAL_BASELINE, PHYSICAL_MOST = 36, 52
"""Width of a physical address: what every x86-64 processor has, and the most that the architecture allows."""

CR0_KNOWN = 0xE005003F
"""HVM_CR0_GUEST_RESERVED_BITS, complemented: PE MP EM TS ET NE WP AM NW CD PG."""


def _known(bits: Iterable[ControlBit], release: Release) -> int:
    return sum(bit.mask for bit in bits if release in bit.releases)


@lru_cache(maxsize=None)
def cr4_known(release: Release) -> int:
    """Every CR4 bit that a release can allow, given the right policy."""
    return _known(CR4_BITS, release)


@lru_cache(maxsize=None)
def efer_known(release: Release) -> int:
    """EFER_KNOWN_MASK of a release; whether it refuses other bits is a rule of its own."""
    return _known(EFER_BITS, release)


def bit_names(value: int, bits: Iterable[ControlBit]) -> str:
    """The bits of a value for people: `PAE, PGE, bit 12`."""
    names = {bit.bit: bit.name for bit in bits}
    return ", ".join(names.get(bit, f"bit {bit}") for bit in range(value.bit_length()) if value >> bit & 1)


def allowed(given: Optional[int], known: int, release: Release) -> int:
    """The mask to judge by: the domain's, within what the release knows; all that it knows when not given.

    A release newer than the tables may know more bits, so there a given mask counts alone.
    """
    if given is None:
        return known
    return given & known if release.is_known else given
