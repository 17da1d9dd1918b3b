# SPDX-License-Identifier: MIT
"""What is printed as a context file reads back as the same thing."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.presets import PRESETS, flat32
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import FORMATS, dump, loads
from xenvcpu.contextfile.vocabulary import NAMED_MSRS, keys

u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
words = st.integers(0, 0xFFF) | st.sampled_from([0xC09B, 0xA09B, 0x8B00, 0xCF9300, 0x10000])
STYLES = ("toml", "json")


@st.composite
def contexts(draw: st.DrawFn) -> VcpuContext:
    """Any context that a file can say."""
    mode = draw(st.sampled_from(Mode))
    wide = u64 if mode is Mode.VCPU_HVM_MODE_64B else u32
    values: dict[str, object] = {"mode": mode, "efer": draw(u64)}
    for name in draw(st.sets(st.sampled_from(["rax", "rsp", "rip", "rflags", "cr0", "cr3", "cr4"]))):
        values[name] = draw(wide)
    for name in draw(st.sets(st.sampled_from(["cs", "ds", "ss", "es", "tr", "fs", "gs", "ldtr"]))):
        base = u64 if mode is Mode.VCPU_HVM_MODE_64B or name in ("fs", "gs", "ldtr") else u32
        values[name] = Segment(draw(base), draw(u32), draw(words), draw(u16))
    for name in draw(st.sets(st.sampled_from(["gdtr", "idtr"]))):
        values[name] = DescriptorTable(draw(u64), draw(u32))
    for name in draw(st.sets(st.sampled_from(["r8", "r15", "cr2", "dr7", "shadow_gs", "msr_star", "sysenter_cs"]))):
        values[name] = draw(u64)
    values["fpu_regs"] = draw(st.none() | st.binary(min_size=512, max_size=512))
    unnamed = u32.filter(lambda index: index not in NAMED_MSRS)
    values["msrs"] = tuple(draw(st.dictionaries(unnamed, u64, max_size=3)).items())
    return VcpuContext(**values)  # type: ignore[arg-type]


@given(contexts(), st.sampled_from(STYLES))
def test_a_context_that_was_printed_reads_back_the_same(context: VcpuContext, style: str) -> None:
    assert context == loads(dump(context, style)).render(0)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data(), style=st.sampled_from(STYLES))
def test_bytes_that_were_decoded_and_printed_read_back_the_same(name: str, data: st.DataObject, style: str) -> None:
    form = FORMATS[name]
    size = data.draw(st.sampled_from(form.sizes))
    raw = bytearray(data.draw(st.binary(min_size=size, max_size=size)))
    if data.draw(st.booleans()) and form.modes:
        raw[:4] = data.draw(st.sampled_from(list(form.modes))).to_bytes(4, "little")
    image = loads(dump(form.decode(bytes(raw)), style)).render(0)
    assert bytes(raw) == image.pack()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", PRESETS)
def test_a_printed_preset_is_that_preset(name: str) -> None:
    assert PRESETS[name]() == loads(dump(PRESETS[name](), comment="About\nit")).render(0)


def test_toml_holds_no_integer_beyond_63_bits() -> None:
    text = dump(VcpuContext(Mode.VCPU_HVM_MODE_64B, rip=1 << 63, rsp=(1 << 63) - 1))
    assert 'rip = "0x8000000000000000"\n' in text
    assert "rsp = 0x7fffffffffffffff\n" in text


def test_json_holds_registers_as_hex_strings() -> None:
    assert "0x11" == json.loads(dump(flat32(), "json"))["cr0"]


def test_rest_is_printed_only_where_it_is_not_zero() -> None:
    form = FORMATS["cpu_record"]
    assert "fpu_regs" not in dump(form.decode(bytes(1032)))
    assert "fpu_regs" in dump(form.decode(b"\1" + bytes(1031)))


def test_every_field_of_a_context_has_a_key() -> None:
    known = {key.field for mode in Mode for key in keys(mode).values()} | {"mode", "fpu_regs", "msrs"}
    assert {field.name for field in fields(VcpuContext)} == known
