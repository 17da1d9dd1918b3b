# SPDX-License-Identifier: MIT
"""check_segment: what VCPUOP_initialise wants of CS, DS, SS, ES and TR in 32B mode.

The attribute words judged here are those after Xen has set the accessed or busy bit
(`effect.adjusted_ar`). Source: check_segment (arch/x86/hvm/domain.c; arch/x86/domain.c
up to 4.9).
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Tuple

from xenvcpu.abi.registers import AR_P, AR_S
from xenvcpu.abi.vcpu_hvm_context import SEGMENTS
from xenvcpu.rules.release import ALWAYS, Since
from xenvcpu.rules.rule import Case, Chain, Rule, Stage

SOURCE = "check_segment"
TYPE, TYPE_CODE, TYPE_WRITE = 0xF, 0x8, 0x2
BUSY_TSS = 0xB
_RESERVED = 0xF000
_CODE_OR_DATA = ("cs", "ds", "ss", "es")
_SAYS_ATTRIBUTES = Since("4.15")
_CHECKS_TYPE_OF_TR = Since("4.7.2", "4.8.1", "4.9")


class _Check(NamedTuple):
    """One test of an attribute word, for the segments that it is made for."""

    name: str
    segments: Tuple[str, ...]
    broken: Callable[[int], bool]
    needed: str
    remedy: str
    console: str
    releases: Since = ALWAYS


_CHECKS = (
    _Check(
        "ar-reserved-bits", SEGMENTS, lambda ar: bool(ar & _RESERVED),
        "bits 12 to 15 of segment attributes must be zero",
        "Xen's word has AVL, L, D/B and G in bits 8 to 11, not in 12 to 15 as the VMX form has them",
        "Segment attribute bits 12-15 are not zero",
    ),
    _Check(
        "null-segment", ("cs", "ss", "tr"), lambda ar: ar == 0, "CS, SS and TR cannot be null",
        "give 0xc9b for CS, 0xc93 for SS, 0x8b for TR (flat 32-bit)", "Null segment attributes for CS, SS or TR",
    ),
    _Check(
        "tr-code-or-data", ("tr",), lambda ar: bool(ar & AR_S), "TR must be a system segment (S clear)",
        "give 0x8b, a busy 32-bit TSS", "Code or data segment provided for TR",
    ),
    _Check(
        "tr-not-32bit-tss", ("tr",), lambda ar: ar & TYPE != BUSY_TSS, "TR must be a 32-bit TSS (type 0xb or 0x9)",
        "give 0x8b, a busy 32-bit TSS", "Non-32-bit-TSS segment provided for TR", _CHECKS_TYPE_OF_TR,
    ),
    _Check(
        "system-segment", _CODE_OR_DATA, lambda ar: not ar & AR_S, "a code or data segment must have S set",
        "set bit 4 of the attributes: 0xc9b for flat code, 0xc93 for flat data",
        "System segment provided for a code or data segment",
    ),
    _Check(
        "segment-not-present", SEGMENTS, lambda ar: not ar & AR_P, "the segment must be present (P set)",
        "set bit 7 of the attributes", "Non-present segment provided",
    ),
    _Check(
        "cs-not-code", ("cs",), lambda ar: not ar & TYPE_CODE, "CS must be a code segment (type bit 3 set)",
        "give 0xc9b for flat 32-bit code, 0x9b for 16-bit code", "Non-code segment provided for CS",
    ),
    _Check(
        "ss-not-writable", ("ss",), lambda ar: bool(ar & TYPE_CODE) or not ar & TYPE_WRITE,
        "SS must be a writable data segment (type bit 3 clear, bit 1 set)", "give 0xc93 for a flat 32-bit stack",
        "Non-writeable segment provided for SS",
    ),
    _Check(
        "data-not-readable", ("ds", "es"), lambda ar: bool(ar & TYPE_CODE) and not ar & TYPE_WRITE,
        "code in DS or ES must be readable (type bit 1 set)", "give 0xc93, flat data",
        "Non-readable segment provided for DS or ES",
    ),
)


def _is_exempt(segment: str, check: _Check) -> bool:
    """Whether a null segment ends the checks before this one: DS and ES may be null."""
    return segment in ("ds", "es") and check.name != "ar-reserved-bits"


def _console(check: _Check) -> Callable[[Case], str]:
    if check.name != "null-segment":
        return lambda case: check.console
    old = "Null selector provided for CS, SS or TR"
    return lambda case: check.console if case.release in _SAYS_ATTRIBUTES else old


def _rule(segment: str, check: _Check) -> Rule:
    field, judged = f"{segment}_ar", f"{segment}_ar judged"
    broken = check.broken
    may_be_null = _is_exempt(segment, check)

    def is_broken(case: Case) -> bool:
        ar = case[judged]
        return broken(ar) and not (may_be_null and ar == 0)

    def detail(case: Case) -> str:
        forced = case[judged] != case[field]
        return f" ({case[judged]:#x} once this Xen has set the accessed or busy bit)" if forced else ""

    return Rule(
        check.name, (field,), check.needed, check.remedy, is_broken, SOURCE, releases=check.releases,
        console=_console(check), detail=detail,
    )


def _chain(segment: str) -> Chain:
    return tuple(_rule(segment, check) for check in _CHECKS if segment in check.segments)


STAGE: Stage = tuple(_chain(segment) for segment in SEGMENTS)
"""All five are evaluated, in this order, and each stops at its first failure."""

JUDGED: Tuple[Tuple[str, str, str], ...] = tuple((name, f"{name}_ar", f"{name}_ar judged") for name in SEGMENTS)
"""Segment, the field of its attributes, and the key under which a case holds the adjusted word."""


def dpl(ar: int) -> int:
    """The descriptor privilege level of an attribute word."""
    return ar >> 5 & 3


