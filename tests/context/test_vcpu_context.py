# SPDX-License-Identifier: MIT
"""`VcpuContext`: a frozen value whose fields are checked for range."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.presets import PRESETS, flat32, long64, real16
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import ContextError


def test_a_context_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        flat32().rip = 1  # type: ignore[misc]


def test_a_copy_has_the_change_and_the_rest() -> None:
    first = flat32(eip=1, esp=2)
    assert (3, 2, 1) == (first.replace(rip=3).rip, first.replace(rip=3).rsp, first.rip)


@pytest.mark.parametrize(("changes", "field"), [
    ({"rip": 1 << 32}, "rip"), ({"cr3": -1}, "cr3"), ({"efer": 1 << 64}, "efer"), ({"r8": 1 << 64}, "r8"),
    ({"fpu_regs": bytes(511)}, "fpu_regs"), ({"msrs": ((1 << 32, 0),)}, "msrs"),
    ({"msrs": ((0x10, 1 << 64),)}, "msrs.0x10"),
])
def test_a_value_that_does_not_fit_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ContextError) as caught:
        VcpuContext(**changes)
    assert (field, "range") == (caught.value.field, caught.value.rule)


@pytest.mark.parametrize(("changes", "field"), [
    ({"rsp": "0x8000"}, "rsp"), ({"rip": None}, "rip"), ({"r8": 1.5}, "r8"), ({"cr0": True}, "cr0"),
    ({"cs": 0xC9B}, "cs"), ({"gdtr": Segment()}, "gdtr"), ({"mode": 0}, "mode"), ({"fpu_regs": "00"}, "fpu_regs"),
    ({"msrs": ((0x10, "1"),)}, "msrs.0x10"), ({"msrs": {0x10: 1}}, "msrs"),
])
def test_a_value_of_another_type_is_refused_at_once(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ContextError) as caught:
        flat32().replace(**changes)
    assert (field, "type") == (caught.value.field, caught.value.rule)


def test_a_part_of_a_segment_is_an_integer() -> None:
    with pytest.raises(ContextError, match="limit = '0xffff' is not an integer"):
        Segment(limit="0xffff")  # type: ignore[arg-type]


def test_the_64b_block_has_64_bits() -> None:
    assert 1 << 63 == VcpuContext(Mode.VCPU_HVM_MODE_64B, rip=1 << 63).rip


def test_the_error_says_which_block_is_too_narrow() -> None:
    with pytest.raises(ContextError, match="32 bits it has in 32B mode"):
        VcpuContext(rip=1 << 32)


def test_a_real_mode_start_is_at_cs_and_ip() -> None:
    context = real16(cs=0x0800, ip=0x10)
    assert (0x8000, 0x10, 0) == (context.cs.base, context.rip, context.cr0 & 1)  # type: ignore[union-attr]


def test_a_64_bit_start_leaves_its_segments_to_xen() -> None:
    assert [None] * 5 == [getattr(long64(), name) for name in ("cs", "ds", "ss", "es", "tr")]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_each_preset_says_in_its_docstring_what_it_is_for(name: str) -> None:
    assert len(PRESETS[name].__doc__ or "") > 40
