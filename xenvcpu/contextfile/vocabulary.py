# SPDX-License-Identifier: MIT
"""The keys of a context file: the C field names, and what each stands for in a `VcpuContext`.

The common keys are the fields of `struct vcpu_hvm_context` in the file's mode; the
extended keys those of `struct hvm_hw_cpu` that the dom0 interface alone carries.
Widths come from these structs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache

from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.rules import effect

MODES: Mapping[str, Mode] = {"32B": Mode.VCPU_HVM_MODE_32B, "64B": Mode.VCPU_HVM_MODE_64B}
CONTROL = ("schema", "format", "description", "preset", "mode")
"""The keys that say how a file is to be read."""

DECLARED = ("vcpus", "reset", "context", "settings")
"""The keys of a declaration, which has a context file within."""
FPU, MSRS, LENGTH, REST = "fpu_regs", "msrs", "length", "rest"
TABLES = ("gdtr", "idtr")
_AR_BITS = 32
"""Wider than the field of `struct vcpu_hvm_context`: the longest form of an attribute word has 24 bits."""
_NOT_KEYS = ("mode", "pad", "pad1", "pad2[0]", "pad2[1]", "pad2[2]")
_SEGMENT_PARTS = {"base": "base", "limit": "limit", "ar": "arbytes", "sel": "sel"}
_ATTRIBUTES = {"sel": "selector"}

_GENERAL = frozenset(f"r{name}" for name in "ax cx dx bx sp bp si di ip flags".split())
_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("kernel_gs_base", "kernel_gsbase", "kernelgsbase"), "shadow_gs"), "fmask": "msr_syscall_mask",
    "sf_mask": "msr_syscall_mask",
}
"""What the manuals and other programs call a register that has another name in Xen's structs."""

NAMED_MSRS: Mapping[int, str] = {
    0x174: "sysenter_cs", 0x175: "sysenter_esp", 0x176: "sysenter_eip", 0xC0000080: "efer", 0xC0000081: "msr_star",
    0xC0000082: "msr_lstar", 0xC0000083: "msr_cstar", 0xC0000084: "msr_syscall_mask", 0xC0000100: "fs_base",
    0xC0000101: "gs_base", 0xC0000102: "shadow_gs", 0xC0000103: "msr_tsc_aux",
}
"""The MSRs that have a field of their own (SDM volume 4, table 2-2): Xen refuses them in a CPU_MSR record."""


@dataclass(frozen=True)
class Key:
    """What one key of a context file stands for.

    Attributes:
        field: The attribute of `VcpuContext`.
        part: The attribute of its segment or descriptor table, or None.
        bits: The width of its values, which is that of the C field.
    """

    field: str
    part: str | None
    bits: int


def _common(mode: Mode) -> Iterator[tuple[str, Key]]:
    for name, field in vcpu_hvm_context.layout(mode).fields.items():
        segment, _, part = name.partition("_")
        if name in _NOT_KEYS:
            continue
        if part:
            yield name, Key(segment, part, _AR_BITS if part == "ar" else 8 * field.size)
        else:
            yield name, Key(name if name[0] == "c" or name == "efer" else "r" + name[1:], None, 8 * field.size)


def _extended() -> Iterator[tuple[str, Key]]:
    record = cpu_record.LAYOUT.fields
    for segment in cpu_record.SEGMENTS:
        for part, field in _SEGMENT_PARTS.items():
            bits = 8 * record[f"{segment}_{field}"].size
            yield f"{segment}_{part}", Key(segment, _ATTRIBUTES.get(part, part), bits)
    for table in TABLES:
        for part in ("base", "limit"):
            yield f"{table}_{part}", Key(table, part, 8 * record[f"{table}_{part}"].size)
    common = {key.field for key in vars_of(Mode.VCPU_HVM_MODE_64B).values()}
    for name in (field.name for field in fields(VcpuContext)):
        if name in record and name not in common:
            yield name, Key(name, None, 8 * record[name].size)


def vars_of(mode: Mode) -> Mapping[str, Key]:
    """The keys that VCPUOP_initialise carries in a mode."""
    return dict(_common(mode))


@cache
def keys(mode: Mode) -> Mapping[str, Key]:
    """Every register key of a context file of a mode, in the order in which they are printed."""
    common = vars_of(mode)
    return {**common, **{name: key for name, key in _extended() if name not in common}}


def canonical(name: str) -> str:
    """The key as it is looked up: `cs_arbytes`, the CPU record's spelling, is `cs_ar`."""
    segment = name[: -len("_arbytes")]
    return f"{segment}_ar" if name.endswith("_arbytes") and segment in cpu_record.SEGMENTS else name


def default_segment(mode: Mode, name: str) -> Segment:
    """The segment that VCPUOP_initialise leaves when a context does not give it."""
    if name in vcpu_hvm_context.SEGMENTS:
        if mode is Mode.VCPU_HVM_MODE_32B:
            return Segment()
        limit, ar = effect.SEGMENTS_64B[name]
        return Segment(0, limit, ar)
    left = effect.FRESH
    return Segment(*(left[f"{name}_{part}"] for part in ("base", "limit", "arbytes", "sel")))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), 1)), None)


def spelled_in(name: str, known: Iterable[str]) -> str | None:
    """How another of the structs spells the same thing (`cs_ar`, `cs_arbytes`; `eip`, `rip`), or None."""
    plain = name.replace("msr_", "")
    is_general = f"r{name[1:]}" in _GENERAL  # gs_base is no spelling of es_base
    general = (f"r{name[1:]}", f"e{name[1:]}") if is_general else ()
    spellings = (f"{name}bytes", *general, f"msr_{name}", plain, canonical(name), _ELSEWHERE.get(plain, name))
    return next((spelling for spelling in spellings if spelling in known and spelling != name), None)


def hint(name: str, mode: Mode) -> str:
    """What to write instead of a key that a context file of this mode does not have."""
    lower = name.lower()
    here, there = keys(mode), {other: keys(value) for other, value in MODES.items() if value is not mode}
    for other, known in there.items():
        if lower in known and lower not in here:
            twin = next(key for key, meaning in here.items() if meaning == _rebits(known[lower], meaning.bits))
            return f'the key in this mode is {twin}; for {lower} say mode = "{other}"'
    if lower in cpu_record.SEGMENTS or lower in TABLES:
        parts = [key for key in here if key.startswith(f"{lower}_")]
        return f"each part has its own key: {', '.join(parts)}"
    if lower in DECLARED:
        return "this is a declaration, for `xenvcpu libvirt set` and `xl create`; a context is its [context] alone"
    known_names = [*here, *CONTROL, FPU, MSRS]
    close = lower if lower in known_names else spelled_in(lower, here) or nearest(lower, known_names)
    return f"did you mean {close}?" if close else "xenvcpu-context(5) lists all keys"


def _rebits(key: Key, bits: int) -> Key:
    return Key(key.field, key.part, bits)
