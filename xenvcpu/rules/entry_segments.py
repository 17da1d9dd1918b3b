# SPDX-License-Identifier: MIT
"""What VM entry wants of the segments. Nearly all of it is VT-x: SVM takes segments as they are.

Real mode is judged as on a processor with "unrestricted guest"; on older ones Xen emulates it.
Source: SDM volume 3C, 26.3.1.2.
"""

from __future__ import annotations

from typing import Callable, Optional, Tuple

from xenvcpu.abi.registers import AR_G, AR_P, AR_S, CR0_PE
from xenvcpu.abi.cpu_record import SEGMENTS
from xenvcpu.rules import effect
from xenvcpu.rules.release import Since
from xenvcpu.rules.rule import INTEL, Case, Predicate, Rule, is_wide
from xenvcpu.rules.segments import TYPE, dpl
from xenvcpu.rules.state import is_long, is_present
from xenvcpu.rules.verdict import Level

_SDM = "SDM volume 3C, 26.3.1.2"
_RFLAGS_VM = 1 << 17
_DATA = frozenset((1, 3, 5, 7, 11, 15))
_TYPES = {
    "cs": frozenset((3, 9, 11, 13, 15)), "ss": frozenset((3, 7)), "ds": _DATA, "es": _DATA, "fs": _DATA, "gs": _DATA,
    "tr": frozenset((3, 11)), "ldtr": frozenset((2,)),
}
_NEEDED = {
    "cs": "CS must be accessed code (or, for real mode, type 3)", "ss": "SS must be accessed, writable data",
    "tr": "TR must be a busy TSS (type 0xb; 3 outside long mode)",
    "ldtr": "LDTR must be an LDT (type 2), or not present",
}
_REMEDY = {
    "cs": "give 0xc9b for 32-bit, 0xa9b for 64-bit, 0x9b for 16-bit code", "tr": "give 0x8b", "ldtr": "give 0x82, or 0",
}
_NON_CONFORMING, _CONFORMING, _CS_AS_DATA = (9, 11), (13, 15), 3
_SYSTEM = ("tr", "ldtr")
_BUSY_16BIT_TSS = 3
_TI = 1 << 2
_G_FROM_LIMIT = Since("4.9")
_VM86_AR, _VM86_LIMIT = 0xF3, 0xFFFF


def _lint(
    name: str, fields: Tuple[str, ...], broken: Predicate, needed: str, remedy: str, vendor: Optional[str] = INTEL
) -> Rule:
    return Rule(name, fields, needed, remedy, broken, _SDM, level=Level.FATAL, vendor=vendor)


def _is_vm86(case: Case) -> bool:
    return bool(case["rflags"] & _RFLAGS_VM)


def _type(segment: str) -> Rule:
    field, types, is_system = f"{segment}_arbytes", _TYPES[segment], segment in _SYSTEM

    def broken(case: Case) -> bool:
        ar = case[field]
        if not ar & AR_P or _is_vm86(case):
            return False
        if segment == "tr" and case.release not in _G_FROM_LIMIT:
            ar |= effect.BUSY  # vmx_set_segment_register did so up to 4.8
        is_16bit_tss = segment == "tr" and ar & TYPE == _BUSY_16BIT_TSS
        return ar & TYPE not in types or bool(ar & AR_S) is is_system or is_16bit_tss and is_long(case)

    data = f"{segment.upper()} must be accessed data or readable code, or not present"
    return _lint(
        "segment-type", (field,), broken, _NEEDED.get(segment, data), _REMEDY.get(segment, "give 0xc93, flat data")
    )


def _selector(segment: str) -> Rule:
    field = f"{segment}_sel"
    return _lint(
        "selector-in-ldt", (field,), lambda case: bool(case[field] & _TI) and is_present(case, segment),
        f"{segment.upper()} is described in the GDT: bit 2 of its selector, TI, must be clear", "clear bit 2",
    )


def _granularity(segment: str) -> Rule:
    field, ar_field = f"{segment}_limit", f"{segment}_arbytes"

    def broken(case: Case) -> bool:
        limit, ar = case[field], case[ar_field]
        is_paged = bool(limit >> 20) or case.release not in _G_FROM_LIMIT and bool(ar & AR_G)
        return bool(ar & AR_P) and is_paged and limit & 0xFFF != 0xFFF

    return _lint(
        "limit-granularity", (field, ar_field), broken, "a limit that counts pages ends in 0xfff",
        "limits are in bytes: give 0xffffffff for 4 GiB, or one below 1 MiB without G",
    )


def _low_base(segment: str) -> Rule:
    field = f"{segment}_base"
    return _lint(
        "base-above-4g", (field,), lambda case: is_wide(case[field]) and (segment == "cs" or is_present(case, segment)),
        f"the base of {segment.upper()} has 32 bits", "only FS, GS, TR and LDTR have 64-bit bases",
    )


def _real_mode_dpl(segment: str) -> Rule:
    field = f"{segment}_arbytes"

    def broken(case: Case) -> bool:
        ar = case[field]  # present or not: the DPL of SS is the CPL
        is_bound = not case["cr0"] & CR0_PE or case["cs_arbytes"] & TYPE == _CS_AS_DATA
        return is_bound and dpl(ar) != 0 and not _is_vm86(case)

    return _lint(
        "real-mode-dpl", (field, "cr0", "cs_arbytes"), broken,
        f"in real mode, and where CS has type 3 (data), the DPL of {segment.upper()} is 0",
        "clear bits 5 and 6 of the attributes",
    )


def _cs_apart_from_ss(case: Case) -> bool:
    cs, ss = case["cs_arbytes"], case["ss_arbytes"]
    is_apart = cs & TYPE in _NON_CONFORMING and dpl(cs) != dpl(ss) or cs & TYPE in _CONFORMING and dpl(cs) > dpl(ss)
    return is_apart and not _is_vm86(case)


def _vm86(segment: str) -> Rule:
    ar, base, limit, selector = (f"{segment}_{part}" for part in ("arbytes", "base", "limit", "sel"))

    def broken(case: Case) -> bool:
        is_sound = case[ar] == _VM86_AR and case[limit] == _VM86_LIMIT and case[base] == case[selector] << 4
        return _is_vm86(case) and not is_sound

    return _lint(
        "vm86-segment", (ar, base, limit, "rflags"), broken,
        "in virtual-8086 mode every segment has attributes 0xf3, limit 0xffff and its selector times 16 as base",
        "clear RFLAGS.VM (bit 17), and start in real mode: CR0.PE clear",
    )


def _each(make: Callable[[str], Rule], *segments: str) -> Tuple[Rule, ...]:
    return tuple(make(segment) for segment in segments)


RULES: Tuple[Rule, ...] = (
    _lint(
        "cs-not-present", ("cs_arbytes",), lambda case: not is_present(case, "cs"),
        "CS must be present: the load takes a null CS, and the vcpu then never runs",
        "give 0xc9b for 32-bit, 0xa9b for 64-bit, 0x9b for 16-bit code", vendor=None,
    ),
    _lint(
        "tr-not-present", ("tr_arbytes",), lambda case: not is_present(case, "tr"), "TR must be present",
        "give TR attributes 0x8b and limit 0x67",
    ),
    *_each(_type, *SEGMENTS),
    *_each(_selector, *_SYSTEM),
    *_each(_granularity, *SEGMENTS),
    *_each(_low_base, "cs", "ds", "es", "ss"),
    _lint(
        "cs-ss-dpl", ("cs_arbytes", "ss_arbytes"), _cs_apart_from_ss, "CS and SS must have the same DPL",
        "give both the privilege level to start at: 0",
    ),
    *_each(_real_mode_dpl, "cs", "ss"),
    *_each(_vm86, "cs", "ds", "es", "ss", "fs", "gs"),
)
