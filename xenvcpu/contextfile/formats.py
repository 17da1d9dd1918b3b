# SPDX-License-Identifier: MIT
"""The structs whose images a context file may hold, under the names of `--as` and `format =`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from xenvcpu.abi import cpu_record, draft2015, vcpu_hvm_context
from xenvcpu.abi.layout import Image, Layout
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.vocabulary import FPU, MODES, REST
from xenvcpu.encoding import as_context, to_cpu_record, to_vcpu_hvm_context
from xenvcpu.errors import ContextError


@dataclass(frozen=True)
class Format:
    """One C struct that carries a vcpu's first state.

    Attributes:
        name: The word for it on the command line.
        sizes: The lengths it may have in bytes, the usual one first.
        modes: The names of the modes that it knows by number; empty where it has no mode field.
        rest_key: The key of the bytes that no integer field covers.
        layout: Its layout for a mode and a length.
        decode: Reads it from bytes.
        from_context: The image that holds a context.
    """

    name: str
    sizes: tuple[int, ...]
    modes: Mapping[int, str]
    rest_key: str
    layout: Callable[[int, int], Layout]
    decode: Callable[[bytes], Image]
    from_context: Callable[[VcpuContext], Image]


def _record_layout(mode: int, length: int) -> Layout:
    return cpu_record.LAYOUT if length == cpu_record.LAYOUT.size else cpu_record.LAYOUT_46


def _to_cpu_record(context: VcpuContext) -> Image:
    for index, value in context.msrs:
        raise ContextError(
            f"msrs.{index:#x} = {value:#x} has no field in a CPU record", field=f"msrs.{index:#x}", value=value,
            rule="not-in-cpu-record", remedy="leave it out; a start from dom0 loads it beside the record",
        )
    return to_cpu_record(context)


def _to_draft(context: VcpuContext) -> Image:
    from xenvcpu.draft import from_context

    return from_context(context)


_ALL = (
    Format(
        "vcpu_hvm_context", (vcpu_hvm_context.SIZE,), {int(mode): name for name, mode in MODES.items()}, REST,
        lambda mode, length: vcpu_hvm_context.layout(mode), vcpu_hvm_context.decode,
        to_vcpu_hvm_context,
    ),
    Format(
        "cpu_record", (cpu_record.LAYOUT.size, cpu_record.LAYOUT_46.size), {}, FPU, _record_layout, cpu_record.decode,
        _to_cpu_record,
    ),
    Format(
        draft2015.NAME, (draft2015.SIZE,), {int(mode): mode.name.rpartition("_")[2] for mode in draft2015.Mode}, REST,
        lambda mode, length: draft2015.layout(mode), draft2015.decode, _to_draft,
    ),
)

FORMATS: Mapping[str, Format] = {form.name: form for form in _ALL}
"""The formats by name."""


def format_of(image: Image) -> Format:
    """The format whose struct an image is.

    Raises:
        ContextError: None that a context file can hold.
    """
    for form in _ALL:
        if image.layout is form.layout(image.values.get("mode", 0), image.layout.size):
            return form
    raise ContextError(f"no context file holds a {image.layout.name}")


def convert(value: VcpuContext | Image, form: Format) -> Image:
    """A context or an image as an image of `form`; one that is of that struct already stays as it is.

    Raises:
        ContextError: It has a field that the struct cannot carry; the field is named.
    """
    if isinstance(value, Image):
        own = format_of(value)
        if own is form:
            return value
        value = as_context(value)
    return form.from_context(value)
