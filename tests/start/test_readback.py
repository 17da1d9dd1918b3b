# SPDX-License-Identifier: MIT
"""What counts as another state than the one that was loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xenvcpu import encoding
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.readback import differences, record_differences

FLAT = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
REAL = encoding.to_cpu_record(presets.real16(0x800, 0, 0x1000))
SHOWN_BY_VTX = {"cs_sel": 0x800}
"""REAL as VT-x without unrestricted guest shows it: the other bases are 0."""


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
