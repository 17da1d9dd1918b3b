# SPDX-License-Identifier: MIT
"""The state that either interface leaves in a vcpu, from both sides of each boundary and release."""

from __future__ import annotations

import pytest

from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image, Layout
from xenvcpu.rules import effect, state
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case

XEN = Release.parse("4.17")
GENERAL = tuple("ax cx dx bx sp bp si di ip".split())
FLAT = 0xFFFFFFFF
FRESH = {
    "cr0": 0x11, "dr6": 0xFFFF0FF0, "dr7": 0x400, "rflags": 2, "cs_arbytes": 0xC9B, "tr_arbytes": 0x8B,
    "tr_limit": 0xFF,
    **{f"{name}_limit": FLAT for name in ("cs", "ds", "es", "ss", "fs", "gs")},
    **{f"{name}_arbytes": 0xC93 for name in ("ds", "es", "ss", "fs", "gs")},
}


def nonzero(image: Image) -> dict[str, int]:
    return {name: value for name, value in image.values.items() if value}


@pytest.mark.parametrize("segment, given, release, stored", [
    ("cs", 0x9A, "4.7.1", 0x9A), ("cs", 0x9A, "4.7.2", 0x9B), ("cs", 0x9A, "4.8.0", 0x9A), ("cs", 0x9A, "4.8.1", 0x9B),
    ("ds", 0x92, "4.9.0", 0x93), ("ss", 0x12, "4.8.1", 0x13), ("ss", 0x12, "4.9.0", 0x12),
    ("es", 0x12, "staging", 0x12),
    ("tr", 0x89, "4.7.1", 0x89), ("tr", 0x89, "4.7.2", 0x8B), ("tr", 0x09, "4.8.1", 0x0B), ("tr", 0x09, "4.9.0", 0x09),
    ("tr", 0x09, "4.22", 0x09), ("tr", 0x09, "staging", 0x0B), ("tr", 0x89, "staging", 0x8B),
    ("ldtr", 0x82, "4.17", 0x82), ("ldtr", 0x80, "4.8.1", 0x80), ("tr", 0x80, "4.17", 0x82),
])
def test_vcpuop_sets_the_accessed_or_busy_bit(segment: str, given: int, release: str, stored: int) -> None:
    assert effect.adjusted_ar(segment, given, Release.parse(release)) == stored


@pytest.mark.parametrize("ar, limit, release, stored", [
    (0xC93, 0, "4.8", 0xC93), (0xC93, 0, "4.9.0", 0x493), (0xC93, 0xFFFFF, "4.9", 0x493),
    (0x493, 0xFFFFF, "4.9", 0x493),
    (0x493, 0x100000, "4.9", 0xC93), (0x493, FLAT, "4.22", 0xC93), (0xC93, 0x100000, "4.9", 0xC93),
    (0xC13, 0, "4.9", 0xC13), (0x413, FLAT, "4.9", 0x413), (0x493, FLAT, "4.8", 0x493),
    (0xC92, 0, "4.9", 0x492), (0x492, FLAT, "4.9", 0xC92),
])
def test_g_of_a_present_segment_follows_the_limit(ar: int, limit: int, release: str, stored: int) -> None:
    assert effect.loaded_ar(ar, limit, Release.parse(release)) == stored


def test_a_segment_is_loaded_as_by_the_newest_release_where_none_is_given() -> None:
    assert (effect.loaded_ar(0xC93, 0), effect.loaded_ar(0x493, FLAT)) == (0x493, 0xC93)


@pytest.mark.parametrize("release, stored", [("4.8", 0xC93), ("4.9.0", 0x493)])
def test_g_follows_the_limit_after_vcpuop_too(release: str, stored: int) -> None:
    image = vcpu_hvm_context.LAYOUT_32B.image({"ds_ar": 0xC93, "ds_limit": 5})
    assert effect.after_initialise(image, Release.parse(release))["ds_arbytes"] == stored


@pytest.mark.parametrize("word, ar", [
    (0xC093, 0xC93), (0xA09B, 0xA9B), (0xC092, 0xC92), (0x1093, 0x193), (0x8093, 0x893), (0xCC93, 0xCC93),
    (0xC193, 0xC193),
    (0x93, 0x93), (0xC93, 0xC93), (0x10093, 0x93), (0x1C093, 0xC93), (0x1CC93, 0xCC93), (0, 0), (0xF000, 0xF00),
], ids=hex)
def test_a_word_in_the_form_of_the_vmcs_is_converted(word: int, ar: int) -> None:
    assert effect.unfolded_ar(word) == ar


@pytest.mark.parametrize("given, release, stored", [
    (0, "4.7", 2), (0, "staging", 2), (FLAT, "4.21.0", FLAT), (FLAT, "4.21.1", 0x3F7FD7), (FLAT, "4.22.0", 0x3F7FD7),
    (1 << 63, "4.20", 1 << 63 | 2), (1 << 63, "4.22", 2),
])
def test_rflags_keep_what_there_is_from_4_21_1_on_and_bit_1_is_set(given: int, release: str, stored: int) -> None:
    assert effect.loaded_rflags(given, Release.parse(release)) == stored


def test_a_vcpu_is_fresh_as_the_builder_leaves_it() -> None:
    assert nonzero(effect.FRESH) == FRESH


@pytest.mark.parametrize("efer, stored", [
    (0, 0), (1, 1), (0x100, 0x500), (0x900, 0xD00), (0x500, 0x500), (0x800, 0x800),
])
def test_lme_brings_lma(efer: int, stored: int) -> None:
    image = vcpu_hvm_context.LAYOUT_32B.image({"efer": efer})
    assert effect.after_initialise(image, XEN)["msr_efer"] == stored


def test_32b_mode_fills_the_registers_and_its_five_segments() -> None:
    registers = {f"e{name}": 0x100 + number for number, name in enumerate(GENERAL)}
    control = {"cr0": 0x21, "cr3": 0x22000, "cr4": 0x23}
    segments = {
        f"{name}_{part}": value + number
        for number, name in enumerate(vcpu_hvm_context.SEGMENTS)
        for part, value in (("base", 0x1000), ("limit", 0x100000), ("ar", 0x490))
    }
    image = vcpu_hvm_context.LAYOUT_32B.image({**registers, **control, **segments, "eflags": 0x200})
    before = effect.FRESH.with_values(fs_base=7, cs_sel=8, tr_sel=9, dr6=10, rax=11)
    after = effect.after_initialise(image, XEN, before)
    ars = (0xC91, 0xC91, 0xC93, 0xC93, 0xC96)
    assert after.values == {
        **before.values, **{f"r{name[1:]}": value for name, value in registers.items()}, **control, "rflags": 0x202,
        **{
            f"{name}_{part}": value
            for number, name in enumerate(vcpu_hvm_context.SEGMENTS)
            for part, value in (
                ("base", 0x1000 + number), ("limit", 0x100000 + number), ("arbytes", ars[number]), ("sel", 0),
            )
        },
    }


def test_64b_mode_fills_the_registers_and_chooses_the_segments() -> None:
    registers = {f"r{name}": (1 << 40) + number for number, name in enumerate(GENERAL)}
    image = vcpu_hvm_context.LAYOUT_64B.image({
        "mode": 1, **registers, "rflags": 0x200, "cr0": 0x80000011, "cr3": 0x1000, "cr4": 0x20, "efer": 0x100,
    })
    before = effect.FRESH.with_values(**{f"{name}_base": 5 for name in ("cs", "tr", "fs")})
    chosen = {"cs": (FLAT, 0xA9B), "ds": (FLAT, 0xC93), "ss": (FLAT, 0xC93), "es": (FLAT, 0xC93), "tr": (0x67, 0x8B)}
    after = effect.after_initialise(image, XEN, before)
    assert after.values == {
        **before.values, **registers, "rflags": 0x202, "cr0": 0x80000011, "cr3": 0x1000, "cr4": 0x20, "msr_efer": 0x500,
        **{f"{name}_limit": limit for name, (limit, _) in chosen.items()},
        **{f"{name}_arbytes": ar for name, (_, ar) in chosen.items()},
        **{f"{name}_base": 0 for name in chosen}, **{f"{name}_sel": 0 for name in chosen},
    }


@pytest.mark.parametrize("given, release, stored", [
    ({"cr0": 1}, "4.17", {"cr0": 0x11}), ({"cr0": 0x80000031}, "4.17", {"cr0": 0x80000031}),
    ({"rflags": 0x200}, "4.17", {"rflags": 0x202}), ({"rflags": FLAT}, "4.22", {"rflags": FLAT}),
    ({"dr6": FLAT, "dr7": FLAT}, "4.17", {"dr6": FLAT, "dr7": FLAT}),
    ({"dr6": 0, "dr7": 0}, "4.17", {"dr6": 0, "dr7": 0}),
    ({"dr6": FLAT, "dr7": FLAT}, "4.18.0", {"dr6": 0xFFFFEFFF, "dr7": 0xFFFF2FFF}),
    ({"dr6": 0, "dr7": 0}, "4.18.0", {"dr6": 0xFFFF0FF0, "dr7": 0x400}), ({"cr3": 0x1234}, "4.18", {"cr3": 0x1234}),
    *(({f"{name}_sel": 0x1FFFF}, "4.17", {f"{name}_sel": 0xFFFF}) for name in cpu_record.SEGMENTS),
    *(
        ({f"{name}_arbytes": 0xC093, f"{name}_limit": FLAT}, "4.17", {f"{name}_arbytes": 0xC93, f"{name}_limit": FLAT})
        for name in cpu_record.SEGMENTS
    ),
    ({"ds_arbytes": 0xC93, "ds_limit": 5}, "4.8", {"ds_arbytes": 0xC93}),
    ({"ds_arbytes": 0xC93, "ds_limit": 5}, "4.9.0", {"ds_arbytes": 0x493}),
], ids=str)
def test_a_load_keeps_a_record_but_for_what_xen_makes_of_it(
    given: dict[str, int], release: str, stored: dict[str, int]
) -> None:
    record = effect.FRESH.with_values(**given)
    assert effect.after_load(record, Release.parse(release)).values == {**record.values, **stored}


def record_case(**changes: int) -> Case:
    return state.of_record(effect.FRESH.with_values(**changes), XEN)


@pytest.mark.parametrize("efer, ar, is_long, is_64bit", [
    (0, 0xA9B, False, False), (0x100, 0xA9B, False, False), (0x500, 0xA9B, True, True), (0x500, 0xC9B, True, False),
])
def test_code_is_64_bit_in_long_mode_with_l(efer: int, ar: int, is_long: bool, is_64bit: bool) -> None:
    case = record_case(msr_efer=efer, cs_arbytes=ar)
    assert (state.is_long(case), state.is_64bit(case)) == (is_long, is_64bit)


@pytest.mark.parametrize("ar, is_present", [(0, False), (0x80, True), (0x1F, False), (0x13, False)])
def test_a_segment_is_present_with_p(ar: int, is_present: bool) -> None:
    assert state.is_present(record_case(ds_arbytes=ar), "ds") is is_present


@pytest.mark.parametrize("layout, mode, name", [
    (vcpu_hvm_context.LAYOUT_32B, 0, "eip"), (vcpu_hvm_context.LAYOUT_64B, 1, "rip"),
])
def test_the_state_after_vcpuop_has_the_names_of_its_struct(layout: Layout, mode: int, name: str) -> None:
    image = layout.image({"mode": mode, name: 5, "efer": 0x100})
    case = state.of_context(image, XEN, Features(maxphysaddr=40))
    assert (case["rip"], case["msr_efer"], case.field("rip"), case.field("msr_efer")) == (5, 0x500, name, "efer")
    assert (case.image, case.release, case.physical_bits) == (image, XEN, 40)


def test_the_state_after_a_load_is_what_xen_made_of_the_record() -> None:
    image = effect.FRESH.with_values(cr0=1)
    case = state.of_record(image, XEN, Features(maxphysaddr=40))
    assert (case["cr0"], case.given("cr0"), case.field("msr_efer")) == (0x11, 1, "msr_efer")
    assert (case.image, case.release, case.physical_bits) == (image, XEN, 40)
