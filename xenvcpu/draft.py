# SPDX-License-Identifier: MIT
"""A `VcpuContext` as the 2015 draft has it, and back.

What the draft lacks gets the value of the preset for that mode: no ES (the same as DS), no
TR (the busy task segment of `real16` or `flat32`), no EFLAGS (only the bit that is always
set) and, in 16B, no EFER (zero). The draft left the order of the attribute bits open: they
are read as in the final interface. Alignment padding holds nothing and is not looked at.
"""

from __future__ import annotations

from typing import Any

from xenvcpu.abi.registers import CR0_PE, EFLAGS_MBS
from xenvcpu import encoding
from xenvcpu.abi import draft2015, vcpu_hvm_context
from xenvcpu.abi.draft2015 import Mode
from xenvcpu.abi.layout import Image
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import ContextError

_GENERAL = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "ip")
_LETTERS = {Mode.VCPU_HVM_MODE_16B: "", Mode.VCPU_HVM_MODE_32B: "e", Mode.VCPU_HVM_MODE_64B: "r"}
_CARRIED = ("cr0", "cr3", "cr4", "efer")
_EXTENDED = ("cr2", *(f"r{n}" for n in range(8, 16)))
_ABSENT = ("cr1", "cr5", "cr6", "cr7")
_TASKS = {
    Mode.VCPU_HVM_MODE_16B: PRESETS["real16"]().tr,
    Mode.VCPU_HVM_MODE_32B: PRESETS["flat32"]().tr,
    Mode.VCPU_HVM_MODE_64B: None,
}


def to_context(image: Image) -> VcpuContext:
    """The context that an image of the draft asks for; 16B becomes a real-mode start of 32B.

    Raises:
        ContextError: The mode is unknown, a control register is set that no processor has, attributes have more
            than 12 bits, or 16B with CR0.PE set.
    """
    for name in _ABSENT:
        if image[name]:
            raise ContextError(
                f"{name} = {image[name]:#x}, but there is no such register", field=name, value=image[name],
                rule="no-such-register", remedy="leave it 0",
            )
    if image["mode"] not in tuple(Mode):
        raise ContextError(
            f"mode = {image['mode']:#x} is none of 16B, 32B and 64B", field="mode", value=image["mode"],
            rule="mode-unknown", remedy="give 0, 1 or 2",
        )
    mode = Mode(image["mode"])
    if mode is Mode.VCPU_HVM_MODE_16B and image["cr0"] & CR0_PE:
        raise ContextError(
            f"cr0 = {image['cr0']:#x} has PE set, but 16B is a start in real mode", field="cr0", value=image["cr0"],
            rule="real-mode", remedy="clear bit 0, or use 32B",
        )
    values: dict[str, Any] = {"r" + name: image[_LETTERS[mode] + name] for name in _GENERAL}
    values.update({name: image.values.get(name, 0) for name in _CARRIED})
    values.update({name: image.values.get(name) or None for name in _EXTENDED})
    if mode is Mode.VCPU_HVM_MODE_64B:
        return VcpuContext(vcpu_hvm_context.Mode.VCPU_HVM_MODE_64B, rflags=EFLAGS_MBS, **values)
    for name in draft2015.SEGMENTS:
        ar = encoding.literal_ar(f"{name}_ar", image[f"{name}_ar"])
        values[name] = Segment(image[f"{name}_base"], image[f"{name}_limit"], ar)
    return VcpuContext(rflags=EFLAGS_MBS, es=values["ds"], tr=_TASKS[mode], **values)


def from_context(context: VcpuContext) -> Image:
    """The draft's image of a context: 64B for 64B, 16B for real mode with 16-bit values, else 32B.

    Raises:
        ContextError: The draft has no field for something that the context asks for, or the
            field is too narrow.
    """
    mode = _mode(context)
    layout = draft2015.layout(mode)
    for name, value in encoding.extended_fields(context):
        if name not in layout.fields:
            raise _not_in_draft(name, value, "leave it out")
    if context.rflags | EFLAGS_MBS != EFLAGS_MBS:
        raise _not_in_draft("rflags", context.rflags, f"a start has {EFLAGS_MBS:#x}")
    values: dict[str, int] = {"mode": mode}
    values.update({_LETTERS[mode] + name: getattr(context, "r" + name) for name in _GENERAL})
    values.update({name: getattr(context, name) or 0 for name in (*_CARRIED, *_EXTENDED) if name in layout.fields})
    if mode is not Mode.VCPU_HVM_MODE_64B:
        _require_defaults(context, mode)
        values.update(_segments(context))
    return layout.image(values)


def _mode(context: VcpuContext) -> Mode:
    if context.mode is vcpu_hvm_context.Mode.VCPU_HVM_MODE_64B:
        return Mode.VCPU_HVM_MODE_64B
    is_narrow = not any(getattr(context, "r" + name) >> 16 for name in _GENERAL)
    is_real = not context.cr0 & CR0_PE and not context.efer
    task = _TASKS[Mode.VCPU_HVM_MODE_16B]
    return Mode.VCPU_HVM_MODE_16B if is_narrow and is_real and context.tr == task else Mode.VCPU_HVM_MODE_32B


def _require_defaults(context: VcpuContext, mode: Mode) -> None:
    data, extra = context.ds or Segment(), context.es or Segment()
    if extra != data:
        raise _not_in_draft("es", extra, "make it the same as ds")
    if context.tr != _TASKS[mode]:
        raise _not_in_draft("tr", context.tr, f"make it {_TASKS[mode]}")


def _segments(context: VcpuContext) -> dict[str, int]:
    values = {}
    for name in draft2015.SEGMENTS:
        segment = getattr(context, name) or Segment()
        values.update({f"{name}_base": segment.base, f"{name}_limit": segment.limit, f"{name}_ar": segment.word})
    return values


def _not_in_draft(field: str, value: object, remedy: str) -> ContextError:
    shown = f"{value:#x}" if isinstance(value, int) else str(value)
    return ContextError(
        f"{field} = {shown} has no field in the 2015 draft", field=field, value=value, rule="not-in-draft2015",
        remedy=remedy,
    )
