# SPDX-License-Identifier: MIT
"""A `VcpuContext` as each interface takes it, and back: one value, two encodings.

What an interface cannot carry is named, never dropped in silence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator, Tuple

from xenvcpu.abi.registers import AR_L, CR0_ET, EFER_LMA
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.segment import DescriptorTable, Segment, SegmentAttributes
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.context.written import Written
from xenvcpu.errors import ContextError
from xenvcpu.rules import effect
from xenvcpu.rules.release import KNOWN, Release

_GENERAL = tuple("ax cx dx bx sp bp si di ip flags".split())
_CONTROL = ("cr0", "cr3", "cr4", "efer")
_COMMON = frozenset([*("r" + name for name in _GENERAL), *_CONTROL])
_PADS = ("pad", "pad1", "pad2[0]", "pad2[1]", "pad2[2]")
NEWEST = KNOWN[-1]


def _letter(mode: int) -> str:
    return "r" if mode == Mode.VCPU_HVM_MODE_64B else "e"


def _carried(context: VcpuContext) -> Image:
    """The part of a context that `struct vcpu_hvm_context` has fields for."""
    letter = _letter(context.mode)
    values: dict[str, int] = {"mode": context.mode}
    values.update({letter + name: getattr(context, "r" + name) for name in _GENERAL})
    values.update({name: getattr(context, name) for name in _CONTROL})
    if context.mode is Mode.VCPU_HVM_MODE_32B:
        for name in vcpu_hvm_context.SEGMENTS:
            segment = getattr(context, name) or Segment()
            values.update({f"{name}_base": segment.base, f"{name}_limit": segment.limit, f"{name}_ar": segment.word})
    return vcpu_hvm_context.layout(context.mode).image(values)


def _asked(context: VcpuContext, release: Release) -> dict[str, int]:
    """Every field of the CPU record that a context asks for beyond the common registers."""
    values: dict[str, int] = {}
    for name, value in context:
        if isinstance(value, Segment):
            ar = effect.loaded_ar(effect.adjusted_ar(name, value.word, release), value.limit, release)
            values.update({
                f"{name}_sel": value.selector, f"{name}_base": value.base, f"{name}_limit": value.limit,
                f"{name}_arbytes": ar,
            })
        elif isinstance(value, DescriptorTable):
            values.update({f"{name}_base": value.base, f"{name}_limit": value.limit})
        elif name in cpu_record.LAYOUT.fields and name not in _COMMON and value is not None:
            values[name] = value
    return values


def extended_fields(context: VcpuContext) -> Iterator[Tuple[str, int]]:
    """The fields that VCPUOP_initialise cannot carry, as (field of the CPU record, value).

    A field that asks for just what VCPUOP_initialise leaves on a fresh vcpu is not listed.
    """
    left = effect.after_initialise(_carried(context), NEWEST)
    for name, value in _asked(context, NEWEST).items():
        if value != left[name]:
            yield name, value
    if context.fpu_regs is not None:
        yield "fpu_regs", int.from_bytes(context.fpu_regs, "little")
    for index, value in context.msrs:
        yield f"msrs.{index:#x}", value


def to_vcpu_hvm_context(context: VcpuContext) -> Image:
    """The context for VCPUOP_initialise.

    Raises:
        ContextError: It has fields that only the dom0 interface carries, or a value does not fit.
    """
    for name, asked in extended_fields(context):
        given = Written.of(context)
        key = given.names.get(name, name)
        value = given.values.get(key, asked)
        raise ContextError(
            f"{key} = {value:#x} cannot be carried by VCPUOP_initialise", field=key, value=value,
            rule="extended-field",
            remedy="start the vcpu from dom0, or leave the field out and set it in the entry code",
        )
    return _carried(context)


def to_cpu_record(context: VcpuContext, release: Release = NEWEST) -> Image:
    """The context as the CPU record that leaves a vcpu as VCPUOP_initialise would.

    EFER.LMA follows LME and CR0.ET is set, since the load takes both literally. `tsc` is
    0: a start takes it from the boot vcpu.

    Raises:
        ContextError: A value does not fit.
    """
    record = effect.after_initialise(_carried(context), release)
    record = record.with_values(**_asked(context, release))
    record = record.with_values(cr0=record["cr0"] | CR0_ET)
    if context.fpu_regs is None:
        return record
    return replace(record.with_values(flags=cpu_record.FPU_INITIALISED), rest=context.fpu_regs)


def from_vcpu_hvm_context(image: Image) -> VcpuContext:
    """The context that an image of `struct vcpu_hvm_context` holds.

    Raises:
        ContextError: The mode is unknown, or padding or the upper bits of attributes are not zero: there is no such
            context.
    """
    for name in _PADS:
        if image.values.get(name):
            raise ContextError(
                f"{name} = {image[name]:#x}, must be zero", field=name, value=image[name], rule="pad-not-zero"
            )
    if image["mode"] not in tuple(Mode):
        raise ContextError(
            f"mode = {image['mode']:#x} is neither 32B nor 64B", field="mode", value=image["mode"], rule="mode-unknown"
        )
    mode = Mode(image["mode"])
    values: dict[str, Any] = {"r" + name: image[_letter(mode) + name] for name in _GENERAL}
    values.update({name: image[name] for name in _CONTROL})
    if mode is Mode.VCPU_HVM_MODE_32B:
        for name in vcpu_hvm_context.SEGMENTS:
            ar = literal_ar(f"{name}_ar", image[f"{name}_ar"])
            values[name] = Segment(image[f"{name}_base"], image[f"{name}_limit"], ar)
    return VcpuContext(mode, **values)


def from_cpu_record(record: Image) -> VcpuContext:
    """The context that a CPU record holds: 64B when it runs 64-bit code or needs 64 bits, else 32B.

    Fields that are as VCPUOP_initialise leaves them become None. What is not a start
    (`tsc`, a pending event) is not part of a context.

    Raises:
        ContextError: The record cannot be a context.
    """
    common = {**{"r" + name: record["r" + name] for name in _GENERAL}, "efer": record["msr_efer"]}
    common.update({name: record[name] for name in ("cr0", "cr3", "cr4")})
    is_wide = any(value >> 32 for name, value in common.items() if name != "efer")
    is_64bit = bool(common["efer"] & EFER_LMA and record["cs_arbytes"] & AR_L)
    mode = Mode.VCPU_HVM_MODE_64B if is_wide or is_64bit else Mode.VCPU_HVM_MODE_32B
    segments = {name: _segment(record, name) for name in cpu_record.SEGMENTS}
    shared = {name: segments[name] for name in vcpu_hvm_context.SEGMENTS}
    bare = VcpuContext(mode, **common, **shared if mode is Mode.VCPU_HVM_MODE_32B else {})  # type: ignore[arg-type]
    left = effect.after_initialise(_carried(bare), NEWEST)
    more: dict[str, Any] = {
        name: None if segment == _segment(left, name) and getattr(bare, name) is None else segment
        for name, segment in segments.items()
    }
    for name in ("gdtr", "idtr"):
        table = DescriptorTable(record[f"{name}_base"], record[f"{name}_limit"])
        more[name] = None if table == DescriptorTable() else table
    plain = (name for name, _ in bare if name in record.layout.fields and name not in _COMMON)
    more.update({name: None if record[name] == left[name] else record[name] for name in plain})
    if record.values.get("flags", cpu_record.FPU_INITIALISED) & cpu_record.FPU_INITIALISED:
        more["fpu_regs"] = record.rest
    return bare.replace(**more)


def as_context(image: Image) -> VcpuContext:
    """The context that an image of any of the structs holds.

    Raises:
        ContextError: It cannot be a context.
    """
    if image.layout.name == cpu_record.LAYOUT.name:
        return from_cpu_record(image)
    if image.layout.name == vcpu_hvm_context.LAYOUT_32B.name:
        return from_vcpu_hvm_context(image)
    from xenvcpu import draft  # which itself encodes

    context: VcpuContext = draft.to_context(image)
    return context


def _segment(record: Image, name: str) -> Segment:
    field = f"{name}_arbytes"
    ar = literal_ar(field, effect.unfolded_ar(record[field]))
    return Segment(record[f"{name}_base"], record[f"{name}_limit"], ar, record[f"{name}_sel"])


def literal_ar(field: str, ar: int) -> int:
    """The attribute word of a struct, where other forms than Xen's are not looked for.

    Raises:
        ContextError: It has more than 12 bits.
    """
    try:
        return SegmentAttributes.from_ar(ar).ar
    except ContextError as exc:
        raise ContextError(
            f"{field} = {ar:#x} is not Xen's 12-bit word", field=field, value=ar, rule="ar-reserved-bits",
            remedy=exc.remedy,
        ) from exc
