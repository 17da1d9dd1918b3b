# SPDX-License-Identifier: MIT
"""What Xen and the processor both take, though it is hardly what was meant.

Judged is the state after the call (`state`); whether a field was given as it is loaded, the
rules see from `Case.given`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterator, Tuple

from xenvcpu.abi.registers import AR_DB, AR_P, CR0_PE, CR0_PG, CR4_PAE, CR4_PCIDE, EFLAGS_IF
from xenvcpu.rules import advice_segments
from xenvcpu.rules.advice_segments import hint, is_record
from xenvcpu.rules.control import CR0_KNOWN
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case, Rule, is_canonical
from xenvcpu.rules.state import is_64bit, is_long
from xenvcpu.rules.verdict import Finding

_PAGE_FLAGS = 0x18
"""PWT and PCD of CR3."""
_TABLE, _PDPT = 0xFFF, 0x1F
_RESET_BASE, _RESET_SELECTOR = 0xFFFF0000, 0xF000
_REAL_MODE_BASES = range(0, 1 << 20, 16)
"""Those that a selector can have."""
_REAL_MODE = "SDM volume 3B, 20.1.1; APM volume 2, 4.1"
_VCPUOP = "arch_set_info_hvm_guest"


def _no_stack(case: Case) -> bool:
    # A 16-bit stack starts at the top of its segment when SP is 0.
    return case["rsp"] == 0 and (is_64bit(case) or bool(case["ss_arbytes"] & AR_DB))


def _stack_outside(case: Case) -> bool:
    is_down = bool(case["ss_arbytes"] & 4)
    if is_64bit(case) or is_down or not case["ss_arbytes"] & AR_P:
        return False
    return case["rsp"] - 1 > case["ss_limit"]


def _entry_zero(case: Case) -> bool:
    return case["rip"] + (0 if is_64bit(case) else case["cs_base"]) == 0


def _cr3_unaligned(case: Case) -> bool:
    if not case["cr0"] & CR0_PG or case["cr4"] & CR4_PCIDE:
        return False
    is_pdpt = bool(case["cr4"] & CR4_PAE) and not is_long(case)
    return bool(case["cr3"] & (_PDPT if is_pdpt else _TABLE & ~_PAGE_FLAGS))


def _real_mode_base(case: Case) -> bool:
    selector, base = case["cs_sel"], case["cs_base"]
    is_reset = (selector, base) == (_RESET_SELECTOR, _RESET_BASE)
    is_apart = selector != 0 and base != selector << 4 and not is_reset
    return not case["cr0"] & CR0_PE and is_apart


RULES: Tuple[Rule, ...] = (
    *advice_segments.FORMS,
    hint("entry-zero", "rip cs_base", _entry_zero, "the vcpu starts at address 0", "give the entry point", "usage"),
    hint("no-stack", "rsp", _no_stack, "there is no stack: the first push or exception goes wrong",
         "give the top of a stack, each vcpu its own", "usage"),
    hint("stack-outside-limit", "rsp ss_limit", _stack_outside, "the stack lies outside the limit of SS",
         "give SS the limit 0xffffffff for 4 GiB, or a lower stack", "SDM volume 3A, 5.3; APM volume 2, 4.12"),
    hint("rsp-not-canonical", "rsp", lambda case: is_64bit(case) and not is_canonical(case["rsp"]),
         "RSP must be canonical for the first push to succeed", "give the sign-extended 48-bit address",
         "SDM volume 1, 3.3.7.1; APM volume 2, 5.3.1"),
    hint("interrupts-without-idt", "rflags idtr_limit",
         lambda case: bool(case["rflags"] & EFLAGS_IF) and case["idtr_limit"] == 0,
         "interrupts are enabled, but there is no IDT: the first one triple-faults", "clear bit 9 until LIDT is done",
         "SDM volume 3A, 6.10; APM volume 2, 8.2"),
    hint("cr3-zero", "cr3 cr0", lambda case: bool(case["cr0"] & CR0_PG) and case["cr3"] == 0,
         "paging is on with its table at address 0", "give the physical address of the table",
         "SDM volume 3A, 4.1; APM volume 2, 5.2"),
    hint("cr3-unaligned", "cr3 cr4", _cr3_unaligned,
         "the table that CR3 points at is 4 KiB aligned (32 bytes with PAE paging); the low bits are ignored",
         "give the physical address of the table", "SDM volume 3A, 4.3 to 4.5; APM volume 2, 5.2"),
    hint("cr0-unknown-bit", "cr0", lambda case: bool(case["cr0"] & ~CR0_KNOWN & 0xFFFFFFFF),
         "CR0 has bits that do not exist, which the processor ignores", "give only bits of 0xe005003f",
         "SDM volume 3A, 2.5; APM volume 2, 3.1.1"),
    hint("rflags-dropped", "rflags", lambda case: not is_record(case) and case.given("rflags") & ~case["rflags"] != 0,
         "this Xen drops the reserved bits", "give 0x2, or 0x202 with interrupts on", _VCPUOP),
    hint("real-mode-base", "cs_base cs_sel",
         lambda case: _real_mode_base(case) and case["cs_base"] in _REAL_MODE_BASES,
         "in real mode the base of CS is its selector times 16",
         "give cs_sel = cs_base / 16, so that code that saves CS and comes back lands where it was", _REAL_MODE),
    hint("real-mode-base", "cs_base cs_sel",
         lambda case: _real_mode_base(case) and case["cs_base"] not in _REAL_MODE_BASES,
         "in real mode the base of CS is its selector times 16, and no selector has this one",
         "give a base below 1 MiB that is a multiple of 16, or let the entry code leave real mode without a return"
         " through CS", _REAL_MODE),
    *advice_segments.RULES,
)


@lru_cache(maxsize=None)
def _applying(release: Release) -> Tuple[Rule, ...]:
    return tuple(rule for rule in RULES if release in rule.releases)


def judge(case: Case) -> Iterator[Finding]:
    """The warnings for a state, as `state.of_context` or `state.of_record` gives it."""
    for rule in _applying(case.release):
        if rule.broken(case):
            yield rule.finding(case)
