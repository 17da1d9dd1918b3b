# SPDX-License-Identifier: MIT
"""The 2015 draft and the vcpu context: what goes over, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import contexts, numbers
from xenvcpu import draft
from xenvcpu.abi.draft2015 import LAYOUTS, Mode
from xenvcpu.abi.layout import Image
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import ContextError

B16, B32, B64 = (LAYOUTS[mode] for mode in Mode)
NEVER_SET = ("cr1", "cr5", "cr6", "cr7")


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Images of the draft that ask for something that a processor has."""
    mode = draw(st.sampled_from(Mode))
    fields = LAYOUTS[mode].fields.values()
    values = {field.name: draw(numbers(8 * field.size)) for field in fields if field.name not in NEVER_SET}
    values.update({name: value & 0xFFF for name, value in values.items() if name.endswith("_ar")})
    if mode is Mode.VCPU_HVM_MODE_16B:
        values["cr0"] &= ~1
    return LAYOUTS[mode].image({**values, "mode": mode})


@given(images())
def test_any_image_goes_to_a_context_and_back(image: Image) -> None:
    assert image.pack() == draft.from_context(draft.to_context(image)).pack()


@given(contexts())
def test_any_context_goes_to_the_draft_and_back_or_is_refused_by_name(context: VcpuContext) -> None:
    try:
        image = draft.from_context(context)
    except ContextError as error:
        assert error.field and error.rule in ("not-in-draft2015", "range")
    else:
        assert image == draft.from_context(draft.to_context(image))


@pytest.mark.parametrize(("preset", "mode"), [
    ("flat32", 1), ("real16", 0), ("pae32", 1), ("compat32", 1), ("long64", 2), ("pvh", 1),
])
def test_each_preset_has_its_mode_in_the_draft(preset: str, mode: int) -> None:
    assert mode == draft.from_context(PRESETS[preset]())["mode"]


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"pvh"}))
def test_each_preset_comes_back_whole(preset: str) -> None:
    context = PRESETS[preset]()
    assert context == draft.to_context(draft.from_context(context))


def test_no_flags_at_all_come_back_with_the_bit_that_is_always_set() -> None:
    context = PRESETS["pvh"]()
    assert context.replace(rflags=2) == draft.to_context(draft.from_context(context))


def test_16b_becomes_a_real_mode_start_of_32b() -> None:
    context = draft.to_context(B16.image({"mode": 0, "cr0": 0x10, "cs_base": 0x8000, "ip": 0x10, "sp": 0x7000}))
    assert ("VCPU_HVM_MODE_32B", 0, 0x10, 0x7000) == (context.mode.name, context.cr0 & 1, context.rip, context.rsp)
    assert Segment(0x8000) == context.cs


def test_what_the_draft_lacks_gets_its_default() -> None:
    context = draft.to_context(B32.image({"mode": 1, "ds_base": 0x1000, "ds_limit": 0xFFFF, "ds_ar": 0x93}))
    assert Segment(0x1000, 0xFFFF, 0x93) == context.es
    assert (Segment(0, 0x67, 0x8B), 2) == (context.tr, context.rflags)


def test_what_the_final_interface_lacks_goes_to_the_extended_fields() -> None:
    context = draft.to_context(B64.image({"mode": 2, "r8": 8, "r15": 15, "cr2": 0x2000}))
    assert (8, 15, 0x2000, None) == (context.r8, context.r15, context.cr2, context.r9)


@pytest.mark.parametrize("name", NEVER_SET)
@pytest.mark.parametrize("layout", [B16, B32, B64], ids=["16B", "32B", "64B"])
def test_a_control_register_that_no_processor_has_is_refused_by_name(layout: Any, name: str) -> None:
    mode = [B16, B32, B64].index(layout)
    with pytest.raises(ContextError) as caught:
        draft.to_context(layout.image({"mode": mode, name: 1}))
    assert (name, 1, "no-such-register") == (caught.value.field, caught.value.value, caught.value.rule)


def test_16b_with_protection_on_is_refused() -> None:
    with pytest.raises(ContextError) as caught:
        draft.to_context(B16.image({"cr0": 0x11}))
    assert ("cr0", "real-mode") == (caught.value.field, caught.value.rule)


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(ContextError) as caught:
        draft.to_context(B64.image({"mode": 3}))
    assert ("mode", 3, "mode-unknown") == (caught.value.field, caught.value.value, caught.value.rule)


@pytest.mark.parametrize(("preset", "changes", "field"), [
    ("flat32", {"rflags": 0x202}, "rflags"), ("long64", {"rflags": 0x202}, "rflags"),
    ("flat32", {"es": Segment(0, 0xFFFF, 0x93)}, "es"), ("flat32", {"es": None}, "es"),
    ("flat32", {"tr": Segment(0x1000, 0x67, 0x8B)}, "tr"), ("flat32", {"r8": 1}, "r8"),
    ("flat32", {"cs": Segment(0, 0xFFFFFFFF, 0xC9B, selector=8)}, "cs_sel"),
    ("long64", {"ds": Segment(0, 0xFFFFFFFF, 0xC93, selector=8)}, "ds_sel"),
    ("flat32", {"shadow_gs": 1}, "shadow_gs"), ("flat32", {"msrs": ((1, 2),)}, "msrs.0x1"),
    ("long64", {"fpu_regs": bytes(512)}, "fpu_regs"), ("real16", {"cr2": 1 << 32}, "cr2"),
])
def test_what_the_draft_cannot_hold_is_refused_by_name(preset: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ContextError) as caught:
        draft.from_context(PRESETS[preset]().replace(**changes))
    assert field == caught.value.field
    assert caught.value.rule in ("not-in-draft2015", "range")


@pytest.mark.parametrize("changes", [{"rip": 0x10000}, {"cr0": 0x11}, {"efer": 1}])
def test_a_start_that_is_not_16_bit_is_not_16b(changes: dict[str, int]) -> None:
    context = PRESETS["real16"]().replace(**changes, tr=PRESETS["flat32"]().tr)
    assert Mode.VCPU_HVM_MODE_32B == draft.from_context(context)["mode"]
