# SPDX-License-Identifier: MIT
"""What counts as another state than the one that was loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xenvcpu import encoding
from xenvcpu.abi import cpu_record, mtrr, xsave
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.context import presets
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.readback import differences, record_differences
from xenvcpu.savedstate import SavedState

FLAT = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
REAL = encoding.to_cpu_record(presets.real16(0x800, 0, 0x1000))
LONG = encoding.to_cpu_record(presets.long64(0x1000, 0x8000, 0x2000)).with_values(ldtr_arbytes=0x82)
"""A vcpu with every segment present: of one that is not, the attributes do not count."""
NOT_COMPARED = {"tsc", "msr_flags", "flags", "pad0"}
"""Time, what Xen derives, and what only says whether there is an FPU image."""
FIXED_BY_XEN = {
    "cr0": 1 << 4, "rflags": 1 << 1, "dr6": ~0xE00F, "dr7": ~0xFFFF2BFF,
    **{f"{name}_sel": ~0xFFFF for name in cpu_record.SEGMENTS},
    **{f"{name}_arbytes": ~0x7FF for name in cpu_record.SEGMENTS},
}
"""The bits that Xen sets as it likes: ET, those reserved in EFLAGS and the debug registers, G, those past a field."""
SHOWN_BY_VTX = {"cs_sel": 0x800}
"""REAL as VT-x without unrestricted guest shows it: the other bases are 0."""


def record_of(typecode: Typecode, payload: bytes) -> dict[int, Record]:
    return {0: Record(typecode, 0, payload)}


def different(wanted: Image, got: Image) -> list[str]:
    return [line.split()[2] for line in record_differences(1, wanted.pack(), got.pack())]


def test_a_selector_that_follows_the_base_in_real_mode_is_as_asked() -> None:
    assert different(REAL, REAL.with_values(**SHOWN_BY_VTX)) == []


def test_a_big_real_mode_stack_segment_may_read_as_a_small_one() -> None:
    big = REAL.with_values(ss_base=0x20000, ss_sel=0, ss_limit=0xFFFFFFFF, ss_arbytes=0xC93)
    assert different(big, big.with_values(ss_sel=0x2000, ss_limit=0xFFFF, ss_arbytes=0x93)) == []


@pytest.mark.parametrize("wanted, got, field", [
    (REAL, {"cs_sel": 0x900}, "cs_sel"),
    (REAL, {"cs_base": 0x9000}, "cs_base"),
    (REAL, {"ds_arbytes": 0xF3}, "ds_arbytes"),
    (REAL, {"ss_limit": 0xFFF}, "ss_limit"),
    (REAL, {"tr_sel": 8}, "tr_sel"),
    (REAL.with_values(cs_base=0x8008), {"cs_sel": 0x800}, "cs_sel"),
    (REAL.with_values(cs_base=0x110000), {"cs_sel": 0x1000}, "cs_sel"),
    (REAL.with_values(ss_base=0x20008, ss_limit=0xFFFFF), {"ss_limit": 0xFFFF}, "ss_limit"),
    (REAL.with_values(ss_base=0x100000, ss_limit=0xFFFFF), {"ss_limit": 0xFFFF}, "ss_limit"),
    (REAL.with_values(ds_base=0x8000, ds_limit=0xFFF), {"ds_sel": 0x800}, "ds_sel"),
    (REAL.with_values(ds_base=0x8000, ds_arbytes=0), {"ds_sel": 0x800}, "ds_sel"),
    (FLAT.with_values(cs_base=0x8000), {"cs_sel": 0x800}, "cs_sel"),
])
def test_any_other_value_is_a_difference(wanted: Image, got: dict[str, int], field: str) -> None:
    assert different(wanted, wanted.with_values(**got)) == [field]


def test_an_online_vcpu_that_lost_its_extended_state_altogether_is_told(web: Dom0Domain) -> None:
    state = web.state()
    assert state.xsave and differences(state, (), state) == []
    assert differences(state, (), replace(state, xsave={})) == ["vcpu 0: its CPU_XSAVE record is gone"]


@pytest.mark.parametrize("field", [name for name in cpu_record.LAYOUT.fields if name not in NOT_COMPARED])
def test_each_bit_of_each_field_that_a_load_sets_is_compared(field: str) -> None:
    bits = range(8 * cpu_record.LAYOUT.fields[field].size)
    free = [bit for bit in bits if not FIXED_BY_XEN.get(field, 0) >> bit & 1]
    others = (LONG.with_values(**{field: LONG[field] ^ 1 << bit}) for bit in free)
    assert free and all(field in different(LONG, other) for other in others)


@pytest.mark.parametrize("length", [cpu_record.LAYOUT.size, cpu_record.LAYOUT_46.size])
def test_each_byte_of_an_fpu_image_that_was_given_is_compared(length: int) -> None:
    given = LONG.with_values(flags=cpu_record.FPU_INITIALISED).pack()[:length]
    for at in range(cpu_record.FPU_SIZE):
        other = given[:at] + bytes((given[at] ^ 1,)) + given[at + 1 :]
        assert record_differences(1, given, other) == ["vcpu 1: the FPU image is another"], at


def test_an_fpu_image_that_was_not_given_is_not_compared() -> None:
    assert record_differences(1, LONG.pack(), b"\1" + LONG.pack()[1:]) == []


@pytest.mark.parametrize(("bit", "name"), sorted(xsave.COMPONENTS.items())[2:])
def test_each_extended_component_that_a_vcpu_lost_is_told(web: Dom0Domain, bit: int, name: str) -> None:
    state = web.state()
    image = xsave.decode(state.xsave[0].payload)
    had, has = (
        replace(state, xsave=record_of(Typecode.CPU_XSAVE, image.with_values(**{xsave.XSTATE_BV: bits}).pack()))
        for bits in (xsave.XSTATE_LEGACY | 1 << bit, xsave.XSTATE_LEGACY)
    )
    assert differences(had, (), has) == [f"vcpu 0: its {name} state was dropped"]
    assert differences(has, (), had) == []


def test_a_vcpu_that_lost_its_pat_is_told(web: Dom0Domain) -> None:
    def with_pat(pat: int) -> SavedState:
        image = mtrr.LAYOUT.unpack(state.mtrr[0].payload).with_values(msr_pat_cr=pat)
        return replace(state, mtrr=record_of(Typecode.MTRR, image.pack()))

    state, pat = web.state(), 0x0407050600070106
    assert differences(with_pat(pat), (), with_pat(pat)) == []
    for lost in (mtrr.PAT_RESET, pat ^ 1):
        assert differences(with_pat(pat), (), with_pat(lost)) == [f"vcpu 0: its PAT is no more {pat:#x}"]


def test_a_vcpu_that_is_down_or_up_unasked_is_told(web: Dom0Domain) -> None:
    state, new = web.state(), Record(Typecode.CPU, 1, LONG.pack())
    up = replace(state, cpu={**state.cpu, 1: new})
    assert differences(state, (new,), up) == []
    assert differences(state, (new,), state) == ["vcpu 1 is not online"]
    assert differences(up, (), state, gone=(1,)) == []
    assert differences(up, (), state) == ["vcpu 1 is not online"]
    assert differences(state, (), up) == ["vcpu 1 is online, though nobody asked"]


def test_g_may_read_as_the_limit_makes_it() -> None:
    asked = FLAT.with_values(ds_arbytes=0x493)
    assert FLAT["ds_limit"] >> 20 and different(asked, asked.with_values(ds_arbytes=0xC93)) == []


def test_the_extended_state_of_a_vcpu_that_was_made_fresh_is_not_compared(web: Dom0Domain) -> None:
    state, new = web.state(), Record(Typecode.CPU, 1, LONG.pack())
    extended = Record(Typecode.CPU_XSAVE, 1, state.xsave[0].payload)
    before = replace(state, cpu={**state.cpu, 1: new}, xsave={**state.xsave, 1: extended})
    assert differences(before, (), state, gone=(1,)) == []
    assert differences(before, (), replace(before, xsave=state.xsave)) == ["vcpu 1: its CPU_XSAVE record is gone"]


def test_of_a_segment_that_is_not_present_the_attributes_do_not_count() -> None:
    asked = FLAT.with_values(ldtr_arbytes=0x02)
    assert different(asked, asked.with_values(ldtr_arbytes=0)) == []
    assert different(asked, asked.with_values(ldtr_arbytes=0x82)) == ["ldtr_arbytes"]
