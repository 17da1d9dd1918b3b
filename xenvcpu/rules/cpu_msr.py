# SPDX-License-Identifier: MIT
"""Which MSRs the load of a CPU_MSR record takes.

Everything else is ENXIO there: EFER, the SYSCALL and SYSENTER MSRs and TSC_AUX have fields in the CPU record.
Source: hvm_load_cpu_msrs, guest_wrmsr; vmx_load_msr and svm_load_msr up to 4.12 (4.7 to 4.22, every point release).
"""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, Mapping, Optional, Tuple

from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import ALWAYS, Release, Since, Until
from xenvcpu.rules.rule import AMD, HARDWARE, INTEL, KILLS_HOST, is_canonical, is_wide
from xenvcpu.rules.verdict import Finding, Level

_SPEC_CTRL, _MISC_FEATURES_ENABLES, _BNDCFGS, _XSS, _PKRS = 0x48, 0x140, 0xD90, 0xDA0, 0x6E1
_VIRT_SPEC_CTRL = 0xC001011F
_ADDRESS_MASKS = (0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)
"""DR0_ADDRESS_MASK to DR3_ADDRESS_MASK, of 32 bits each."""

ACCEPTED: Mapping[int, Since] = {
    _SPEC_CTRL: Since("4.7.5", "4.8.4", "4.9.2", "4.10.1", "4.11"),
    _MISC_FEATURES_ENABLES: Since("4.8.4", "4.9.2", "4.10"),
    _BNDCFGS: ALWAYS, _XSS: ALWAYS, _PKRS: Since("4.18"), _VIRT_SPEC_CTRL: Since("4.17"),
    **dict.fromkeys(_ADDRESS_MASKS, ALWAYS),
}
"""Each MSR that a record may hold, since a release. What the domain's CPU policy lacks is refused besides."""

_OF_VENDOR: Mapping[int, Tuple[str, Until]] = {
    **dict.fromkeys((_SPEC_CTRL, _MISC_FEATURES_ENABLES), (INTEL, Until("4.10"))),
    **dict.fromkeys((_BNDCFGS, _XSS), (INTEL, Until("4.13"))),
    **dict.fromkeys(_ADDRESS_MASKS, (AMD, Until("4.12"))),
}
"""Until when only one vendor's hook knew an MSR."""

_CHECKS_XSS = Since("4.13")
_MAY_WRITE_XSS = Until("4.14")
"""One release more than those that do: builds from the development time of 4.13 call themselves 4.13 too."""
_HOOK_CHECKS_MASKS = _OF_VENDOR[_ADDRESS_MASKS[0]][1]

_SPEC_CTRL_KNOWN, _CPUID_FAULTING, _BNDCFGS_RESERVED = 0x4FF, 1, 0xFFC

_REFUSED_VALUES: Mapping[int, Tuple[Since, Callable[[int], bool], str]] = {
    _SPEC_CTRL: (
        ALWAYS, lambda value: bool(value & ~_SPEC_CTRL_KNOWN), "may only have bits 0 to 7 and 10; clear the others",
    ),
    _MISC_FEATURES_ENABLES: (
        Since("4.10"), lambda value: bool(value & ~_CPUID_FAULTING),
        "may only have bit 0, CPUID faulting; clear the others",
    ),
    _BNDCFGS: (
        Since("4.7.1"), lambda value: bool(value & _BNDCFGS_RESERVED) or not is_canonical(value),
        "must be a canonical address with bits 2 to 11 zero; give that of the bound directory, or leave it out",
    ),
    _XSS: (_CHECKS_XSS, bool, "must be zero, Xen has no such state for guests; leave it out"),
    _PKRS: (ALWAYS, is_wide, "has 32 bits; clear the upper half"),
    **dict.fromkeys(_ADDRESS_MASKS, (ALWAYS, is_wide, "has 32 bits; clear the upper half")),
}
"""Since when values of an MSR are refused on every domain, which, and why. A CPU policy may refuse more: of SPEC_CTRL
these are the bits that some policy of some release has.
"""


def _is_accepted(index: int, release: Release, features: Features) -> bool:
    if index not in ACCEPTED or release not in ACCEPTED[index]:
        return False
    vendor, until = _OF_VENDOR.get(index, ("", ()))
    return release not in until or features.vendor in (None, vendor)


def refusals(
    pairs: Iterable[Tuple[int, int]], release: Release, features: Features = UNKNOWN
) -> Tuple[Finding, ...]:
    """What Xen refuses among (index, value) pairs of a CPU_MSR record; of the features, `vendor` counts."""
    found = (_refusal(index, value, release, features) for index, value in pairs)
    return tuple(finding for finding in found if finding is not None)


def _refusal(index: int, value: int, release: Release, features: Features) -> Optional[Finding]:
    errno = "ENXIO"
    if not _is_accepted(index, release, features):
        known = ", ".join(f"{each:#x}" for each in ACCEPTED if _is_accepted(each, release, features))
        where = "" if features.vendor is None else f" on {HARDWARE[features.vendor]}"
        reason = f"is not among those that Xen {release} loads{where}; leave it out, it takes {known}"
    elif _is_refused(index, value, release):
        reason = _REFUSED_VALUES[index][2]
        errno = "EDOM" if index in _ADDRESS_MASKS and release in _HOOK_CHECKS_MASKS else errno
    else:
        return None
    return Finding(
        "msr-not-loadable", Level.REJECTED, f"msrs.{index:#x}", value, f"MSR {index:#x} = {value:#x} {reason}",
        errno=errno, source="hvm_load_cpu_msrs",
    )


def _is_refused(index: int, value: int, release: Release) -> bool:
    since, refuses, _ = _REFUSED_VALUES.get(index, (ALWAYS, lambda _: False, ""))
    return release in since and refuses(value)


def dangers(pairs: Iterable[Tuple[int, int]], release: Release) -> Iterator[Finding]:
    """What Xen may take among the pairs, and then fault on itself: XSS, written to the processor as it was given.

    It protects the host, and holds whatever is known of the vendor; see `xenvcpu.rules.host`.
    """
    if release not in _MAY_WRITE_XSS:
        return
    for index, value in pairs:
        if index == _XSS and value:
            yield Finding(
                "xss-not-zero", Level.FATAL, f"msrs.{index:#x}", value,
                f"MSR {index:#x} = {value:#x}: XSS must be zero{KILLS_HOST} (VT-x only); leave it out",
                source="vmx_load_msr, set_msr_xss", kills_host=True,
            )
