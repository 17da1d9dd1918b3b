# SPDX-License-Identifier: MIT
"""What a debug build of Xen asserts of the segments in a CPU record, on VT-x and SVM alike; else the host panics.

Source: hvm_set_segment_register (arch/x86/hvm/hvm.c), 4.9 to 4.22: the same list in all. VCPUOP_initialise goes the
same way, but has set the accessed and busy bits and refused the rest before.
"""

from __future__ import annotations

from typing import Callable, Tuple

from xenvcpu.abi.registers import AR_P, AR_S
from xenvcpu.rules.release import Since
from xenvcpu.rules.rule import Case, Predicate, Rule, is_canonical, is_wide
from xenvcpu.rules.segments import TYPE
from xenvcpu.rules.verdict import Level

_NAME = "debug-build-assert"
_ACCESSED, _WRITABLE_OR_READABLE, _CODE = 1, 2, 8
_LDT, _BUSY_TSS_16BIT, _BUSY_TSS = 2, 3, 11
_TI = 1 << 2
_DATA = ("ds", "es", "fs", "gs")
_IF_PRESENT = ("ss", *_DATA, "ldtr")
_WIDE_BASES = ("fs", "gs", "tr", "ldtr", "gdtr", "idtr")


def _rule(field: str, more: Tuple[str, ...], broken: Predicate, needed: str, remedy: str) -> Rule:
    return Rule(
        _NAME, (field, *more), needed, remedy, broken, "hvm_set_segment_register", level=Level.FATAL,
        releases=Since("4.9"), kills_host=True, is_of_debug_builds=True,
    )


def _is_user(ar: int) -> bool:
    return ar & (AR_S | _ACCESSED) == AR_S | _ACCESSED


def _is_readable(ar: int) -> bool:
    return not ar & _CODE or bool(ar & _WRITABLE_OR_READABLE)


_SHAPES: Tuple[Tuple[Tuple[str, ...], Callable[[int], bool], str, str], ...] = (
    (("cs",), lambda ar: bool(ar & AR_P) and _is_user(ar), "{} must be present and accessed, and no system segment",
     "give 0xc9b for 32-bit, 0xa9b for 64-bit, 0x9b for 16-bit code"),
    (("ss",), lambda ar: _is_user(ar) and ar & (_CODE | _WRITABLE_OR_READABLE) == _WRITABLE_OR_READABLE,
     "{} must be accessed, writable data, or not present", "give 0xc93, flat data"),
    (_DATA, lambda ar: _is_user(ar) and _is_readable(ar),
     "{} must be accessed data or readable code, or not present", "give 0xc93, flat data"),
    (("tr",), lambda ar: bool(ar & AR_P) and not ar & AR_S and ar & TYPE in (_BUSY_TSS, _BUSY_TSS_16BIT),
     "{} must be a present, busy TSS (type 0xb, or 3 for 16 bits)", "give 0x8b"),
    (("ldtr",), lambda ar: not ar & AR_S and ar & TYPE == _LDT, "{} must be an LDT (type 2), or not present",
     "give 0x82, or 0"),
)
"""Segments, what their attribute words must be where P counts, and the same in words."""


def _counts(case: Case, segment: str) -> bool:
    """Whether anything is asked of a segment: of most only when it is present."""
    return segment not in _IF_PRESENT or bool(case[f"{segment}_arbytes"] & AR_P)


def _shape(segment: str, is_sound: Callable[[int], bool], needed: str, remedy: str) -> Rule:
    field = f"{segment}_arbytes"
    return _rule(
        field, (), lambda case: _counts(case, segment) and not is_sound(case[field]), needed.format(segment.upper()),
        remedy,
    )


def _base(segment: str) -> Rule:
    field = f"{segment}_base"
    if segment not in _WIDE_BASES:
        return _rule(
            field, (), lambda case: _counts(case, segment) and is_wide(case[field]),
            f"the base of {segment.upper()} has 32 bits", "only FS, GS, TR and LDTR have 64-bit bases",
        )

    def broken(case: Case) -> bool:
        is_narrow = segment == "tr" and case["tr_arbytes"] & TYPE == _BUSY_TSS_16BIT
        is_sound = not is_wide(case[field]) if is_narrow else is_canonical(case[field])
        return _counts(case, segment) and not is_sound

    needed = f"the base of {segment.upper()} must be canonical (bits 63 to 47 all the same)"
    if segment == "tr":
        needed += ", and that of a 16-bit TSS has 32 bits"
    return _rule(field, (), broken, needed, "give the sign-extended 48-bit address")


def _selector(segment: str) -> Rule:
    field = f"{segment}_sel"
    return _rule(
        field, (f"{segment}_arbytes",), lambda case: _counts(case, segment) and bool(case[field] & _TI),
        f"{segment.upper()} is described in the GDT: bit 2 of its selector, TI, must be clear", "clear bit 2",
    )


def _limit(table: str) -> Rule:
    field = f"{table}_limit"
    return _rule(
        field, (), lambda case: case[field] > 0xFFFF, f"the limit of {table.upper()} has 16 bits",
        "give 0xffff or less",
    )


RULES: Tuple[Rule, ...] = (
    *(_shape(name, is_sound, needed, remedy) for names, is_sound, needed, remedy in _SHAPES for name in names),
    *map(_base, ("cs", "ds", "es", "ss", *_WIDE_BASES)), *map(_selector, ("tr", "ldtr")),
    *map(_limit, ("gdtr", "idtr")),
)
