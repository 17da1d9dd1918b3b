# SPDX-License-Identifier: MIT
"""Which save records a release of Xen knows, and how long they are.

Source: DECLARE_HVM_SAVE_TYPE in public/arch-x86/hvm/save.h and the load handlers that use
hvm_load_entry_zeroextend, Xen 4.7 to 4.22.
"""

from __future__ import annotations

import functools
from typing import Mapping, NamedTuple, Optional, Tuple

from xenvcpu.abi.save_stream import PER_VCPU, Typecode
from xenvcpu.rules.release import ALWAYS, Release, Since

NEVER = Since("4.99")


class Kind(NamedTuple):
    """One type of save record in one release.

    Attributes:
        typecode: Its number.
        length: The bytes of its payload; None where it varies.
        is_extended: Whether a shorter payload is filled up with zeros.
        is_per_vcpu: Whether its instance is a vcpuid.
        instances: How many instances a domain has, where not one per vcpu.
        is_checked: Whether the check pass (4.19 and later) looks into it.
    """

    typecode: Typecode
    length: Optional[int]
    is_extended: bool
    is_per_vcpu: bool
    instances: int
    is_checked: bool


_Lengths = Tuple[Tuple[Since, int], ...]
_SIZES: Mapping[Typecode, _Lengths] = {
    Typecode.CPU: ((ALWAYS, 1032),),
    Typecode.PIC: ((ALWAYS, 8),),
    Typecode.IOAPIC: ((ALWAYS, 400),),
    Typecode.LAPIC: ((Since("4.18.5", "4.19.2", "4.20.1", "4.21"), 32), (ALWAYS, 24)),
    Typecode.LAPIC_REGS: ((ALWAYS, 1024),),
    Typecode.PCI_IRQ: ((ALWAYS, 16),),
    Typecode.ISA_IRQ: ((ALWAYS, 8),),
    Typecode.PCI_LINK: ((ALWAYS, 8),),
    Typecode.PIT: ((ALWAYS, 56),),
    Typecode.RTC: ((Since("4.14"), 24), (ALWAYS, 16)),
    Typecode.HPET: ((ALWAYS, 1048),),
    Typecode.PMTIMER: ((ALWAYS, 8),),
    Typecode.MTRR: ((ALWAYS, 240),),
    Typecode.VIRIDIAN_DOMAIN: ((ALWAYS, 32),),
    Typecode.CPU_XSAVE: (),
    Typecode.VIRIDIAN_VCPU: ((Since("4.13"), 216), (ALWAYS, 16)),
    Typecode.VMCE_VCPU: ((Since("4.10"), 32), (ALWAYS, 24)),
    Typecode.TSC_ADJUST: ((ALWAYS, 8),),
    Typecode.CPU_MSR: (),
}
_EXTENDED: Mapping[Typecode, Since] = {
    Typecode.CPU: ALWAYS, Typecode.LAPIC: ALWAYS, Typecode.RTC: Since("4.14"), Typecode.VIRIDIAN_DOMAIN: ALWAYS,
    Typecode.VIRIDIAN_VCPU: ALWAYS, Typecode.VMCE_VCPU: ALWAYS,
}
_INSTANCES: Mapping[Typecode, int] = {Typecode.PIC: 2}
_CHECKED: Mapping[Typecode, Since] = {
    Typecode.PIC: Since("4.19"), Typecode.PIT: Since("4.19"), Typecode.PCI_LINK: Since("4.19"),
    Typecode.LAPIC: Since("4.20"), Typecode.LAPIC_REGS: Since("4.20"),
}


@functools.lru_cache(maxsize=None)
def kinds(release: Release) -> Mapping[int, Kind]:
    """The types that a release loads and saves besides HEADER and END, by ascending typecode."""
    return {
        int(typecode): Kind(
            typecode, next((length for since, length in sizes if release in since), None),
            release in _EXTENDED.get(typecode, NEVER), typecode in PER_VCPU, _INSTANCES.get(typecode, 1),
            release in _CHECKED.get(typecode, NEVER),
        )
        for typecode, sizes in _SIZES.items()
    }
