# SPDX-License-Identifier: MIT
"""Of `advice`, what is about segments and the tables that describe them."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Tuple

from xenvcpu.abi.cpu_record import LAYOUT
from xenvcpu.abi.cpu_record import SEGMENTS as RECORD_SEGMENTS
from xenvcpu.abi.registers import AR_DB, AR_G, AR_L, AR_P, CR0_PE, EFLAGS_VM
from xenvcpu.context import attribute_word
from xenvcpu.rules import effect
from xenvcpu.rules.release import ALWAYS, Since
from xenvcpu.rules.rule import Case, Predicate, Rule
from xenvcpu.rules.state import is_64bit, is_long, is_present
from xenvcpu.rules.verdict import Level

_MIB, _SIXTEEN = 1 << 20, 0xFFFF
_LOAD, _SEGMENTS_G = "hvm_load_cpu_ctxt", "hvm_set_segment_register"
_LIMITS = "SDM volume 3A, 5.3; APM volume 2, 4.12"
_WIDTHS = "SDM volume 3A, 3.4.5; APM volume 2, 4.7"
_TABLES = "SDM volume 3A, 3.5.1; APM volume 2, 4.6.2"
_G_AND_P = AR_G | AR_P
_SHORT_LIMIT_SEGMENTS = ("cs", "ds", "es", "ss")
_TI, _LAST = 1 << 2, 7
_RPL = 3
"""The bits of a selector that name no descriptor."""


def hint(
    name: str, fields: str, broken: Predicate, needed: str, remedy: str, source: str, releases: Since = ALWAYS
) -> Rule:
    """A warning; the fields are separated by blanks."""
    return Rule(name, tuple(fields.split()), needed, remedy, broken, source, level=Level.WARNING, releases=releases)


def is_record(case: Case) -> bool:
    """Whether a CPU record itself was given, which is loaded to the letter."""
    return case.written is None and case.image.layout.name == LAYOUT.name


def _is_loaded(case: Case) -> bool:
    """Whether other forms of attributes are converted: by Xen in a CPU record, in a context by the encoder."""
    return case.written is not None or is_record(case)


def _word(case: Case, field: str) -> int:
    """The attribute word that was given, in Xen's form; G is still as given."""
    if case.written is not None and case.is_given(field):
        return attribute_word.understood(case.given(field)).ar
    return effect.unfolded_ar(case.given(field))


def _taken_as(case: Case, field: str) -> str:
    taken = _word(case, field)
    is_told = case.written is not None or taken == case.given(field)
    return "" if is_told else f", taken by Xen as {taken:#x}"


def _limit_in_pages(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        return case[limit] < _MIB and case.is_given(ar) and _word(case, ar) & _G_AND_P == _G_AND_P

    return hint(
        "limit-counts-bytes", f"{limit} {ar}", broken,
        "limits count bytes here whatever G says, so this segment is smaller than G suggests",
        "give 0xffffffff for 4 GiB; multiply a limit taken from a descriptor by 4096 and add 0xfff; or clear G",
        _SEGMENTS_G,
    )


def _limit_without_g(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        return case[limit] >= _MIB and case.is_given(ar) and _word(case, ar) & _G_AND_P == AR_P

    return hint(
        "g-clear", f"{ar} {limit}", broken, "a limit of 1 MiB or more goes with G, which Xen will set",
        "set bit 11 of the attributes, or give a smaller limit", _SEGMENTS_G,
    )


def _short_limit(segment: str) -> Rule:
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        if case[limit] > _SIXTEEN or is_64bit(case) or not case.is_given(ar):
            return False
        return case[ar] & (AR_DB | AR_P) == AR_DB | AR_P

    return hint(
        "limit-16-bit", f"{limit} {ar}", broken, f"a 32-bit {segment.upper()} hardly ends within 64 KiB",
        "give 0xffffffff for 4 GiB, or attributes without D/B (0x9b, 0x93) for a 16-bit segment",
        _LIMITS,
    )


def _null_data(segment: str) -> Rule:
    field = f"{segment}_arbytes"
    return hint(
        "null-data-segment", field,
        lambda case: not is_record(case) and case.is_given(field) and _word(case, field) == 0,
        f"a null {segment.upper()} faults when used, and VCPUOP_initialise of Xen 4.7.2 to 4.7.6 and 4.8.1 to 4.8.5"
        " refuses it",
        "give 0xc93 with limit 0xffffffff, flat data", "check_segment",
    )


def _vmx_form(segment: str) -> Rule:
    field = f"{segment}_arbytes"
    return replace(
        hint(
            "ar-vmx-form", field, lambda case: case.is_given(field) and case.given(field) > 0xFFF and _is_loaded(case),
            "Xen's word has 12 bits, with AVL, L, D/B and G in bits 8 to 11", "write that one", _LOAD,
        ),
        detail=lambda case: _taken_as(case, field),
    )


def _is_protected(case: Case) -> bool:
    return bool(case["cr0"] & CR0_PE) and not case["rflags"] & EFLAGS_VM


def _width(name: str, segment: str, effect_: str, remedy: str) -> Rule:
    """A segment of 16 bits that is larger than one of 16 bits can use."""
    ar, limit = f"{segment}_arbytes", f"{segment}_limit"

    def broken(case: Case) -> bool:
        is_narrow = case[ar] & (AR_DB | AR_L | AR_P) == AR_P and not is_64bit(case)
        return is_narrow and _is_protected(case) and case[limit] > _SIXTEEN

    return hint(name, f"{ar} {limit}", broken, effect_, remedy, _WIDTHS)


def _partial_table(name: str) -> Rule:
    field = f"{name}_limit"
    return hint(
        "table-limit-partial", field, lambda case: case[field] != 0 and case[field] & _LAST != _LAST,
        f"the limit of {name.upper()} is its last byte, and this one ends within a descriptor",
        "give 8 times the number of descriptors, less 1: 0x17 for three", _TABLES,
    )


def _beyond_table(segment: str) -> Rule:
    field = f"{segment}_sel"

    def broken(case: Case) -> bool:
        selector = case[field]
        is_in_gdt = bool(selector & ~_RPL) and not selector & _TI
        is_used = is_in_gdt and is_present(case, segment) and _is_protected(case)
        return is_used and selector | _LAST > case["gdtr_limit"]

    rule = hint(
        "selector-beyond-gdt", f"{field} gdtr_limit", broken,
        "the GDT has no such descriptor, and the next load of this selector, as on return from an interrupt, faults",
        "give gdtr_base and gdtr_limit, or selector 0 until LGDT is done", _TABLES,
    )
    return replace(rule, detail=lambda case: f" with {case.says('gdtr_limit')}")


def _each(make: Callable[[str], Rule], *segments: str) -> Tuple[Rule, ...]:
    return tuple(make(segment) for segment in segments)


FORMS: Tuple[Rule, ...] = _each(_vmx_form, *RECORD_SEGMENTS)
"""They come first: what else is found may follow from how the word was taken."""

RULES: Tuple[Rule, ...] = (
    hint(
        "l-outside-long-mode", "cs_arbytes msr_efer",
        lambda case: bool(case["cs_arbytes"] & AR_L) and is_present(case, "cs") and not is_long(case),
        "outside long mode the processor ignores L, and with D clear it runs 16-bit code",
        "give 0xc9b for 32-bit code, or start in long mode", _WIDTHS,
    ),
    _width("code-16-bit", "cs", "D is clear, so the vcpu runs 16-bit code, in a segment that is larger than it can use",
           "give 0xc9b for 32-bit code, or the limit 0xffff"),
    _width("stack-16-bit", "ss", "B is clear, so a push uses SP, the lower 16 bits of the stack pointer",
           "give 0xc93 for a 32-bit stack, or the limit 0xffff"),
    *_each(_null_data, "ds", "es"),
    *_each(_limit_in_pages, *RECORD_SEGMENTS),
    *_each(_limit_without_g, *RECORD_SEGMENTS),
    *_each(_short_limit, *_SHORT_LIMIT_SEGMENTS),
    *_each(_beyond_table, *RECORD_SEGMENTS),
    *_each(_partial_table, "gdtr", "idtr"),
)
