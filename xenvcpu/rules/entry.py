# SPDX-License-Identifier: MIT
"""What Xen lets through and the processor then refuses: the checks of VM entry.

VT-x fails the entry, SVM answers VMEXIT_INVALID, or the first instruction triple-faults; either way
the whole domain crashes. Judged is the state after the call, see `state`. A rule that holds on one
vendor's processors only has that `vendor`; with an unknown vendor it counts.

The segments and a pending event have modules of their own, `entry_segments` and `entry_events`; what Xen itself faults
on is in `host`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterator, Optional, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.abi.registers import (
    AR_DB, AR_L, CR0_CD, CR0_NW, CR0_PE, CR0_PG, CR0_WP, CR4_CET, CR4_PAE, CR4_PCIDE, EFER_LMA, EFER_LME, EFLAGS_IF,
    EFLAGS_MBS, EFLAGS_VM,
)
from xenvcpu.rules import effect, entry_events, entry_segments
from xenvcpu.rules.control import efer_known
from xenvcpu.rules.cpu_record import EXTERNAL_INTERRUPT, pending_type
from xenvcpu.rules.efer import REFUSES_UNKNOWN
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import ALWAYS, Release, Since, Until
from xenvcpu.rules.rule import AMD, INTEL, Case, Predicate, Rule, is_canonical, is_wide
from xenvcpu.rules.state import is_64bit, is_long, is_present
from xenvcpu.rules.verdict import Finding, Level

_SDM_CONTROL = "SDM volume 3C, 26.3.1.1"
_SDM_TABLES = "SDM volume 3C, 26.3.1.3"
_SDM_RIP = "SDM volume 3C, 26.3.1.4"
_APM = "APM volume 2, 15.5.1"
_BOTH = f"{_SDM_CONTROL}; {_APM}"

_RFLAGS_KNOWN = effect.EFLAGS_ALL | EFLAGS_MBS
_AR_L_AND_D = AR_L | AR_DB
_TABLE_LIMIT = 0xFFFF
_PDPT_ALIGNMENT = 32


def _lint(
    name: str, fields: str, broken: Predicate, needed: str, remedy: str, source: str, vendor: Optional[str] = None,
    releases: Since = ALWAYS,
) -> Rule:
    return Rule(
        name, tuple(fields.split()), needed, remedy, broken, source, level=Level.FATAL, releases=releases,
        vendor=vendor,
    )


def _paging(case: Case) -> bool:
    return bool(case["cr0"] & CR0_PG)


def _paging_unprotected(case: Case) -> bool:
    # SVM has paged real mode, but not together with long mode; and its behaviour is undefined where page faults are
    # not intercepted (APM volume 2, 15.19), which Xen does under shadow paging only.
    is_taken = case.features.vendor == AMD and not case.features.is_hap and not case["msr_efer"] & EFER_LME
    return case["cr0"] & (CR0_PG | CR0_PE) == CR0_PG and not is_taken


def _rip_beyond_limit(case: Case) -> bool:
    # With an IDT the guest may survive the #GP; a fresh vcpu has none, and triple-faults.
    is_checked = not is_64bit(case) and is_present(case, "cs")
    return is_checked and case["rip"] > case["cs_limit"] and case["idtr_limit"] == 0


def _pae_unaligned(case: Case) -> bool:
    is_pae = _paging(case) and bool(case["cr4"] & CR4_PAE) and not is_long(case)
    is_read = case.features.is_hap and not case["cr4"] & CR4_PCIDE
    return is_pae and is_read and case["cr3"] % _PDPT_ALIGNMENT != 0


_CONTROL = (
    _lint(
        "pg-without-pe", "cr0", _paging_unprotected, "CR0.PG needs CR0.PE",
        "set bit 0 as well, or clear bit 31 for a start without paging", _BOTH,
    ),
    _lint(
        "nw-without-cd", "cr0", lambda case: case["cr0"] & (CR0_NW | CR0_CD) == CR0_NW, "CR0.NW needs CR0.CD",
        "clear bit 29", _APM, AMD,
    ),
    _lint(
        "cr0-high-bits", "cr0", lambda case: is_wide(case["cr0"]), "bits 32 and above of CR0 must be zero",
        "clear them", _BOTH,
    ),
    _lint(
        "lma-without-pg", "msr_efer cr0", lambda case: is_long(case) and not _paging(case),
        "long mode needs CR0.PG, and VCPUOP_initialise takes EFER.LME for long mode at once",
        "set CR0.PG, CR0.PE and CR4.PAE as well, or leave LME to the entry code", _SDM_CONTROL, INTEL,
    ),
    _lint(
        "long-mode-without-pae", "cr4 msr_efer cr0",
        lambda case: is_long(case) and _paging(case) and not case["cr4"] & CR4_PAE, "long mode needs CR4.PAE",
        "set bit 5", _BOTH,
    ),
    _lint(
        "lme-without-lma", "msr_efer cr0",
        lambda case: _paging(case) and case["msr_efer"] & (EFER_LME | EFER_LMA) == EFER_LME,
        "with paging on, EFER.LME needs EFER.LMA, which the load of a CPU record does not add",
        "set bit 10 (0x400) as well", _SDM_CONTROL,
    ),
    _lint(
        "cs-l-and-d", "cs_arbytes msr_efer",
        lambda case: is_long(case) and case["cs_arbytes"] & _AR_L_AND_D == _AR_L_AND_D,
        "in long mode CS cannot have both L and D", "give 0xa9b for 64-bit code, 0xc9b for compatibility mode",
        f"SDM volume 3C, 26.3.1.2; {_APM}",
    ),
    _lint(
        "cet-without-wp", "cr4 cr0", lambda case: bool(case["cr4"] & CR4_CET) and not case["cr0"] & CR0_WP,
        "CR4.CET needs CR0.WP", "set CR0 bit 16, or clear CR4 bit 23", _BOTH,
    ),
    _lint(
        "pcide-without-lma", "cr4 msr_efer", lambda case: bool(case["cr4"] & CR4_PCIDE) and not is_long(case),
        "CR4.PCIDE needs long mode", "clear bit 17, and let the entry code set it", _SDM_CONTROL, INTEL,
    ),
    _lint(
        "cr3-beyond-width", "cr3", lambda case: case.features.is_hap and bool(case["cr3"] >> case.physical_bits),
        "CR3 must lie within the physical addresses", "give the physical address of the table", _BOTH,
    ),
    _lint(
        "pae-cr3-unaligned", "cr3", _pae_unaligned, "with PAE paging CR3 must be 32-byte aligned for this Xen",
        "align the four PDPTEs to 32 bytes", "vmx_load_pdptrs", INTEL, Until("4.15"),
    ),
    _lint(
        "dr7-beyond-32-bits", "dr7", lambda case: is_wide(case["dr7"]), "bits 32 and above of DR7 must be zero",
        "clear them", _BOTH,
    ),
    _lint(
        "efer-reserved", "msr_efer", lambda case: bool(case["msr_efer"] & ~efer_known(case.release)),
        "reserved bits of EFER must be zero", "clear them", _APM, AMD, Until(*REFUSES_UNKNOWN.first),
    ),
)

_FLOW = (
    _lint(
        "rflags-reserved", "rflags", lambda case: bool(case["rflags"] & ~_RFLAGS_KNOWN),
        "reserved bits of RFLAGS must be zero (3, 5, 15, 22 and above)", "give 0x2, or 0x202 with interrupts on",
        _SDM_RIP, INTEL,
    ),
    _lint(
        "vm86-mode", "rflags cr0 msr_efer",
        lambda case: bool(case["rflags"] & EFLAGS_VM) and (is_long(case) or not case["cr0"] & CR0_PE),
        "RFLAGS.VM needs protected mode, and not long mode", "clear bit 17", _SDM_RIP, INTEL,
    ),
    _lint(
        "interrupt-without-if", "pending_event rflags",
        lambda case: pending_type(case) == EXTERNAL_INTERRUPT and not case["rflags"] & EFLAGS_IF,
        "a pending external interrupt needs RFLAGS.IF", "set bit 9 of RFLAGS, or give pending_event 0", _SDM_RIP, INTEL,
    ),
    _lint(
        "rip-beyond-canonical", "rip", lambda case: is_64bit(case) and not is_canonical(case["rip"]),
        "RIP must be canonical (bits 63 to 47 all the same)", "give the sign-extended 48-bit address",
        f"{_SDM_RIP}; APM volume 2, 5.3.1",
    ),
    _lint(
        "rip-above-4g", "rip", lambda case: not is_64bit(case) and is_wide(case["rip"]),
        "outside 64-bit code RIP has 32 bits", "give CS attributes with L (0xa9b) in long mode, or a RIP below 4 GiB",
        _SDM_RIP, INTEL,
    ),
    _lint(
        "rip-outside-limit", "rip cs_limit", _rip_beyond_limit,
        "RIP must be within the limit of CS, which counts bytes whatever G says",
        "give CS the limit 0xffffffff for 4 GiB, or 0xffff for a 16-bit start",
        "SDM volume 3A, 5.3; APM volume 2, 4.12",
    ),
)


def _canonical(field: str, source: str, segment: Optional[str] = None) -> Rule:
    def broken(case: Case) -> bool:
        return not is_canonical(case[field]) and (segment is None or is_present(case, segment))

    return _lint(
        "base-not-canonical", field, broken, "the address must be canonical (bits 63 to 47 all the same)",
        "give the sign-extended 48-bit address", source, INTEL,
    )


_ADDRESSES = (
    *(_canonical(f"{name}_base", "SDM volume 3C, 26.3.1.2") for name in ("fs", "gs", "tr")),
    _canonical("ldtr_base", "SDM volume 3C, 26.3.1.2", "ldtr"),
    *(_canonical(f"{name}_base", _SDM_TABLES) for name in ("gdtr", "idtr")),
    *(_canonical(name, _SDM_CONTROL) for name in ("sysenter_esp", "sysenter_eip")),
)


def _table(name: str) -> Rule:
    field = f"{name}_limit"
    return _lint(
        "table-limit", field, lambda case: case[field] > _TABLE_LIMIT, f"the limit of {name.upper()} has 16 bits",
        "give 0xffff or less", _SDM_TABLES, INTEL,
    )


RULES: Tuple[Rule, ...] = (
    *_CONTROL, *_FLOW, *entry_events.RULES, *entry_segments.RULES, *_ADDRESSES, _table("gdtr"), _table("idtr"),
)


@lru_cache(maxsize=None)
def _applying(release: Release, vendor: Optional[str]) -> Tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.applies(release, Features(vendor=vendor)))


def judge(case: Case) -> Iterator[Finding]:
    """The findings of a state, as `state.of_context` or `state.of_record` gives it."""
    for rule in _applying(case.release, case.features.vendor):
        if rule.broken(case):
            yield rule.finding(case)


def lints(state: Image, release: Release, features: Features = UNKNOWN) -> Tuple[Finding, ...]:
    """Why the processor cannot enter a state that a vcpu already has; empty if it can.

    Args:
        state: The state as a CPU record, as `effect.after_initialise` or `effect.after_load` gives it.
        release: The running Xen.
        features: Whose `vendor` and `maxphysaddr` count.
    """
    return tuple(judge(Case(state.values, state, release, features)))
