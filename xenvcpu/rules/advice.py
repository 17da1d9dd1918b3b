# SPDX-License-Identifier: MIT
"""What Xen and the processor both take, though it is hardly what was meant.

Judged is the state after the call (`state`); whether a field was given as it is loaded, the
rules see from `Case.given`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Iterator, Tuple

from xenvcpu.abi.registers import AR_DB, AR_G, AR_P, CR0_PE, CR0_PG, CR4_PAE, CR4_PCIDE, EFLAGS_IF
from xenvcpu.abi.cpu_record import LAYOUT
from xenvcpu.abi.cpu_record import SEGMENTS as RECORD_SEGMENTS
from xenvcpu.context import attribute_word
from xenvcpu.rules import effect
from xenvcpu.rules.control import CR0_KNOWN
from xenvcpu.rules.release import ALWAYS, Release, Since
from xenvcpu.rules.rule import Case, Predicate, Rule, is_canonical
from xenvcpu.rules.state import is_64bit, is_long
from xenvcpu.rules.verdict import Finding, Level

_PAGE_FLAGS = 0x18
"""PWT and PCD of CR3."""
_TABLE, _PDPT = 0xFFF, 0x1F
_MIB, _SIXTEEN = 1 << 20, 0xFFFF
_RESET_BASE, _RESET_SELECTOR = 0xFFFF0000, 0xF000
_VCPUOP, _LOAD = "arch_set_info_hvm_guest", "hvm_load_cpu_ctxt"
_SEGMENTS_G = "hvm_set_segment_register"
_G_AND_P = AR_G | AR_P
_SHORT_LIMIT_SEGMENTS = ("cs", "ds", "es", "ss")


def _hint(
    name: str, fields: str, broken: Predicate, needed: str, remedy: str, source: str, releases: Since = ALWAYS
) -> Rule:
    return Rule(name, tuple(fields.split()), needed, remedy, broken, source, level=Level.WARNING, releases=releases)


def _is_record(case: Case) -> bool:
    """Whether a CPU record itself was given, which is loaded to the letter."""
    return case.written is None and case.image.layout.name == LAYOUT.name


def _is_loaded(case: Case) -> bool:
    """Whether other forms of attributes are converted: by Xen in a CPU record, in a context by the encoder."""
    return case.written is not None or _is_record(case)


def _word(case: Case, field: str) -> int:
    """The attribute word that was given, in Xen's form; G is still as given."""
    if case.written is not None and case.is_given(field):
        return attribute_word.understood(case.given(field)).ar
    return effect.unfolded_ar(case.given(field))


def _taken_as(case: Case, field: str) -> str:
    return f", taken by Xen as {_word(case, field):#x}" if case.written is None else ""


def _no_stack(case: Case) -> bool:
    # A 16-bit stack starts at the top of its segment when SP is 0.
    return case["rsp"] == 0 and (is_64bit(case) or bool(case["ss_arbytes"] & AR_DB))


def _stack_outside(case: Case) -> bool:
    is_down = bool(case["ss_arbytes"] & 4)
    if case["rsp"] == 0 or is_64bit(case) or is_down or not case["ss_arbytes"] & AR_P:
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


def _limit_in_pages(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        return case[limit] < _MIB and case.is_given(ar) and _word(case, ar) & _G_AND_P == _G_AND_P

    return _hint(
        "limit-counts-bytes", f"{limit} {ar}", broken,
        "limits count bytes here whatever G says, so this segment is smaller than G suggests",
        "give 0xffffffff for 4 GiB; multiply a limit taken from a descriptor by 4096 and add 0xfff; or clear G",
        _SEGMENTS_G,
    )


def _limit_without_g(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        return case[limit] >= _MIB and case.is_given(ar) and _word(case, ar) & _G_AND_P == AR_P

    return _hint(
        "g-clear", f"{ar} {limit}", broken, "a limit of 1 MiB or more goes with G, which Xen will set",
        "set bit 11 of the attributes, or give a smaller limit", _SEGMENTS_G,
    )


def _short_limit(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        if case[limit] > _SIXTEEN or is_64bit(case) or not case.is_given(ar):
            return False
        return case[ar] & (AR_DB | AR_P) == AR_DB | AR_P

    return _hint(
        "limit-16-bit", f"{limit} {ar}", broken, f"a 32-bit {segment.upper()} hardly ends within 64 KiB",
        "give 0xffffffff for 4 GiB, or attributes without D/B (0x9b, 0x93) for a 16-bit segment",
        "SDM volume 3A, 5.3; APM volume 2, 4.12",
    )


def _null_data(segment: str) -> Rule:
    field = f"{segment}_arbytes"
    return _hint(
        "null-data-segment", field,
        lambda case: not _is_record(case) and case.is_given(field) and _word(case, field) == 0,
        f"a null {segment.upper()} faults when used, and VCPUOP_initialise of Xen 4.7.2 to 4.7.6 and 4.8.1 to 4.8.5"
        " refuses it",
        "give 0xc93 with limit 0xffffffff, flat data", "check_segment",
    )


def _vmx_form(segment: str) -> Rule:
    field = f"{segment}_arbytes"
    return replace(
        _hint(
            "ar-vmx-form", field, lambda case: case.is_given(field) and case.given(field) > 0xFFF and _is_loaded(case),
            "Xen's word has 12 bits, with AVL, L, D/B and G in bits 8 to 11", "write that one", _LOAD,
        ),
        detail=lambda case: _taken_as(case, field),
    )


RULES: Tuple[Rule, ...] = (
    *(_vmx_form(name) for name in RECORD_SEGMENTS),
    _hint("entry-zero", "rip cs_base", _entry_zero, "the vcpu starts at address 0", "give the entry point", "usage"),
    _hint("no-stack", "rsp", _no_stack, "there is no stack: the first push or exception goes wrong",
          "give the top of a stack, each vcpu its own", "usage"),
    _hint("stack-outside-limit", "rsp ss_limit", _stack_outside, "the stack lies outside the limit of SS",
          "give SS the limit 0xffffffff for 4 GiB, or a lower stack", "SDM volume 3A, 5.3; APM volume 2, 4.12"),
    _hint("rsp-not-canonical", "rsp", lambda case: is_64bit(case) and not is_canonical(case["rsp"]),
          "RSP must be canonical for the first push to succeed", "give the sign-extended 48-bit address",
          "SDM volume 1, 3.3.7.1; APM volume 2, 5.3.1"),
    _hint("interrupts-without-idt", "rflags idtr_limit",
          lambda case: bool(case["rflags"] & EFLAGS_IF) and case["idtr_limit"] == 0,
          "interrupts are enabled, but there is no IDT: the first one triple-faults", "clear bit 9 until LIDT is done",
          "SDM volume 3A, 6.10; APM volume 2, 8.2"),
    _hint("cr3-zero", "cr3 cr0", lambda case: bool(case["cr0"] & CR0_PG) and case["cr3"] == 0,
          "paging is on with its table at address 0", "give the physical address of the table",
          "SDM volume 3A, 4.1; APM volume 2, 5.2"),
    _hint("cr3-unaligned", "cr3 cr4", _cr3_unaligned,
          "the table that CR3 points at is 4 KiB aligned (32 bytes with PAE paging); the low bits are ignored",
          "give the physical address of the table", "SDM volume 3A, 4.3 to 4.5; APM volume 2, 5.2"),
    _hint("cr0-unknown-bit", "cr0", lambda case: bool(case["cr0"] & ~CR0_KNOWN & 0xFFFFFFFF),
          "CR0 has bits that do not exist, which the processor ignores", "give only bits of 0xe005003f",
          "SDM volume 3A, 2.5; APM volume 2, 3.1.1"),
    _hint("rflags-dropped", "rflags", lambda case: not _is_record(case) and case.given("rflags") & ~case["rflags"] != 0,
          "this Xen drops the reserved bits", "give 0x2, or 0x202 with interrupts on", _VCPUOP),
    _hint("real-mode-base", "cs_base cs_sel", _real_mode_base, "in real mode the base of CS is its selector times 16",
          "give cs_sel = cs_base / 16, so that code that saves CS and comes back lands where it was",
          "SDM volume 3B, 20.1.1; APM volume 2, 4.1"),
    *(_null_data(name) for name in ("ds", "es")),
    *(_limit_in_pages(name) for name in RECORD_SEGMENTS),
    *(_limit_without_g(name) for name in RECORD_SEGMENTS),
    *(_short_limit(name) for name in _SHORT_LIMIT_SEGMENTS),
)


@lru_cache(maxsize=None)
def _applying(release: Release) -> Tuple[Rule, ...]:
    return tuple(rule for rule in RULES if release in rule.releases)


def judge(case: Case) -> Iterator[Finding]:
    """The warnings for a state, as `state.of_context` or `state.of_record` gives it."""
    for rule in _applying(case.release):
        if rule.broken(case):
            yield rule.finding(case)
