# SPDX-License-Identifier: MIT
"""Which MSRs the load of a CPU_MSR record takes.

Source: hvm_load_cpu_msrs and its vendor hooks (arch/x86/hvm, to 4.22). Everything else is
ENXIO there: EFER, the SYSCALL and SYSENTER MSRs and TSC_AUX have fields in the CPU record.
"""

from __future__ import annotations

from typing import Iterable, Mapping, Tuple

from xenvcpu.rules.release import Release, Since
from xenvcpu.rules.verdict import Finding, Level

_FIRST = Since("4.7")
_ADDRESS_MASKS = (0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)
"""DR0_ADDRESS_MASK to DR3_ADDRESS_MASK, of 32 bits each."""

ACCEPTED: Mapping[int, Since] = {
    0x48: _FIRST, 0x140: Since("4.10"), 0xD90: _FIRST, 0xDA0: _FIRST, 0x6E1: Since("4.18"), 0xC001011F: Since("4.17"),
    **dict.fromkeys(_ADDRESS_MASKS, _FIRST),
}
"""SPEC_CTRL, MISC_FEATURES_ENABLES, BNDCFGS, XSS, PKRS, VIRT_SPEC_CTRL and the address masks, each since a release.

What the domain's CPU policy lacks is refused besides.
"""


def refusals(pairs: Iterable[Tuple[int, int]], release: Release) -> Tuple[Finding, ...]:
    """What Xen refuses among (index, value) pairs of a CPU_MSR record."""
    return tuple(_finding(index, value, reason) for index, value in pairs for reason in _reasons(index, value, release))


def _reasons(index: int, value: int, release: Release) -> Tuple[str, ...]:
    if index not in ACCEPTED or release not in ACCEPTED[index]:
        known = ", ".join(f"{each:#x}" for each, since in ACCEPTED.items() if release in since)
        return (f"is not among those that Xen {release} loads; leave it out, it takes {known}",)
    if index in _ADDRESS_MASKS and value >> 32:
        return ("has 32 bits; clear the upper half",)
    return ()


def _finding(index: int, value: int, reason: str) -> Finding:
    return Finding(
        "msr-not-loadable", Level.REJECTED, f"msrs.{index:#x}", value, f"MSR {index:#x} = {value:#x} {reason}",
        errno="ENXIO", source="hvm_load_cpu_msrs",
    )
