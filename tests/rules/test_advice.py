# SPDX-License-Identifier: MIT
"""What is let through though hardly meant: each warning from both sides of its boundary."""

from __future__ import annotations

from typing import Any

import pytest

from xenvcpu import encoding
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.rules import advice, check
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Level

XEN = Release.parse("4.17")
FLAT = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000))
PAE = encoding.to_vcpu_hvm_context(presets.pae32(0x1000, 0x8000, 0x1000))
LONG = encoding.to_vcpu_hvm_context(presets.long64(0x1000, 0x8000, 0x1000))
RECORD = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
REAL = encoding.to_cpu_record(presets.real16(0x800, 0, 0x1000))


def _check(image: Image, release: Release = XEN) -> Any:
    is_context = "mode" in image.values
    return check.check_context(image, release) if is_context else check.check_record(image, release)


def _of(rule: str, base: Image, bad: dict[str, int], good: dict[str, int], release: str = "4.17") -> Any:
    field = next(iter(bad))
    return pytest.param(rule, field, base, bad, good, Release.parse(release), id=f"{rule}-{base.layout.name}-{field}")


BOUNDARIES = [
    _of("entry-zero", FLAT, {"eip": 0}, {"eip": 0, "cs_base": 0x8000}),
    _of("entry-zero", LONG, {"rip": 0}, {"rip": 1}),
    _of("entry-zero", RECORD, {"rip": 0}, {"rip": 1}),
    _of("no-stack", FLAT, {"esp": 0}, {"esp": 4}),
    _of("no-stack", FLAT, {"esp": 0}, {"esp": 0, "ss_ar": 0x93, "ss_limit": 0xFFFF}),
    _of("no-stack", LONG, {"rsp": 0}, {"rsp": 8}),
    _of(
        "stack-outside-limit",
        FLAT,
        {"esp": 0x100001, "ss_limit": 0xFFFFF, "ss_ar": 0x493},
        {"esp": 0x100000, "ss_limit": 0xFFFFF, "ss_ar": 0x493},
    ),
    _of("rsp-not-canonical", LONG, {"rsp": 1 << 47}, {"rsp": (1 << 47) - 8}),
    _of("interrupts-without-idt", FLAT, {"eflags": 0x202}, {"eflags": 0x102}),
    _of("interrupts-without-idt", RECORD, {"rflags": 0x202, "idtr_limit": 0}, {"rflags": 0x202, "idtr_limit": 0xFFF}),
    _of("cr3-zero", LONG, {"cr3": 0}, {"cr3": 0x1000}),
    _of("cr3-zero", PAE, {"cr3": 0}, {"cr3": 0, "cr0": 0x11}),
    _of("cr3-unaligned", LONG, {"cr3": 0x1020}, {"cr3": 0x1018}),
    _of("cr3-unaligned", PAE, {"cr3": 0x1010}, {"cr3": 0x1020}),
    _of("cr0-unknown-bit", FLAT, {"cr0": 0x51}, {"cr0": 0x31}),
    _of("rflags-dropped", FLAT, {"eflags": 0x8002}, {"eflags": 0x2}, "4.22"),
    _of("real-mode-base", REAL, {"cs_base": 0x8000, "cs_sel": 0x700}, {"cs_sel": 0x800}),
    _of("real-mode-base", REAL, {"cs_base": 0xFFFF1000, "cs_sel": 0xF000}, {"cs_base": 0xFFFF0000, "cs_sel": 0xF000}),
    _of("null-data-segment", FLAT, {"ds_ar": 0}, {"ds_ar": 0xC91}),
    _of("null-data-segment", FLAT, {"es_ar": 0}, {"es_ar": 0xC93}),
    _of("limit-counts-bytes", FLAT, {"ds_limit": 0xFFFFF}, {"ds_limit": 0xFFFFF, "ds_ar": 0x493}),
    _of("limit-counts-bytes", RECORD, {"tr_limit": 0x67, "tr_arbytes": 0x88B}, {"tr_limit": 0x67}),
    _of("limit-counts-bytes", RECORD, {"gs_limit": 0xFFFFF}, {"gs_limit": 0xFFFFF, "gs_arbytes": 0}),
    _of("g-clear", FLAT, {"es_ar": 0x493}, {"es_ar": 0x493, "es_limit": 0xFFFFF}),
    _of("limit-16-bit", FLAT, {"ss_limit": 0xFFFF, "ss_ar": 0x493}, {"ss_limit": 0xFFFF, "ss_ar": 0x93}),
    _of("limit-16-bit", RECORD, {"cs_limit": 0xFFFF, "cs_arbytes": 0x49B}, {"cs_limit": 0x10000, "cs_arbytes": 0x49B}),
    _of("code-16-bit", FLAT, {"cs_ar": 0x89B}, {"cs_ar": 0xC9B}),
    _of("code-16-bit", RECORD, {"cs_arbytes": 0x9B, "cs_limit": 0x10FFF}, {"cs_arbytes": 0x9B, "cs_limit": 0xFFFF}),
    _of("stack-16-bit", FLAT, {"ss_ar": 0x893}, {"ss_ar": 0xC93}),
    _of("stack-16-bit", RECORD, {"ss_arbytes": 0x893}, {"ss_arbytes": 0x93, "ss_limit": 0xFFFF}),
    _of("l-outside-long-mode", FLAT, {"cs_ar": 0xA9B}, {"cs_ar": 0xC9B}),
    _of("l-outside-long-mode", PAE, {"cs_ar": 0xA9B}, {"cs_ar": 0xA9B, "efer": 0x100}),
    *(
        _of("selector-beyond-gdt", RECORD, {f"{name}_sel": 0x18, "gdtr_limit": 0x17}, {f"{name}_sel": 0x10,
            "gdtr_limit": 0x17})
        for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr")
    ),
    _of("selector-beyond-gdt", RECORD, {"ds_sel": 0x10}, {"ds_sel": 3}),
    _of("selector-beyond-gdt", RECORD, {"ldtr_sel": 0x10, "ldtr_arbytes": 0x82}, {"ldtr_sel": 0x10}),
    _of("table-limit-partial", RECORD, {"gdtr_limit": 0x18}, {"gdtr_limit": 0x17}),
    _of("table-limit-partial", RECORD, {"idtr_limit": 0x800}, {"idtr_limit": 0x7FF}),
    _of("ar-vmx-form", RECORD, {"ds_arbytes": 0xC093}, {"ds_arbytes": 0xC93}),
]


@pytest.mark.parametrize("rule, field, base, bad, good, release", BOUNDARIES)
def test_a_warning_is_given_on_one_side_of_its_boundary_and_not_on_the_other(
    rule: str, field: str, base: Image, bad: dict[str, int], good: dict[str, int], release: Release
) -> None:
    verdict = _check(base.with_values(**bad), release)
    assert [(finding.rule, finding.field, finding.level) for finding in verdict.findings] == [
        (rule, field, Level.WARNING)
    ]
    assert verdict.verdict == "accepted"
    assert _check(base.with_values(**good), release).findings == ()


def test_every_warning_has_a_boundary_here() -> None:
    assert {rule.name for rule in advice.RULES} == {param.values[0] for param in BOUNDARIES}


def test_a_descriptors_limit_with_g_is_explained() -> None:
    verdict = _check(FLAT.with_values(cs_limit=0xFFFFF))
    assert verdict.findings[0].message.startswith("cs_limit = 0xfffff: limits count bytes here whatever G says")


def test_an_entry_beyond_the_byte_limit_is_fatal_though_xen_counts_pages() -> None:
    verdict = _check(FLAT.with_values(cs_limit=0xFFFFF, eip=0x200000))
    assert [(finding.rule, finding.level) for finding in verdict.findings] == [
        ("rip-outside-limit", Level.FATAL),
        ("limit-counts-bytes", Level.WARNING),
    ]


def _warns(rule: str, image: Image, **changes: int) -> bool:
    return rule in [finding.rule for finding in _check(image.with_values(**changes)).findings]


@pytest.mark.parametrize("changes, found", [
    ({"rsp": 0x101, "ss_limit": 0xFF, "ss_arbytes": 0x93}, True),
    ({"rsp": 0x100, "ss_limit": 0xFF, "ss_arbytes": 0x93}, False),
    ({"rsp": 0, "ss_limit": 0xFF, "ss_arbytes": 0x93}, False),
    ({"rsp": 0x101, "ss_limit": 0xFF, "ss_arbytes": 0x97}, False),
    ({"rsp": 0x101, "ss_limit": 0xFF, "ss_arbytes": 0}, False),
])
def test_a_stack_is_outside_the_limit_of_a_present_segment_that_grows_up(changes: dict[str, int], found: bool) -> None:
    assert _warns("stack-outside-limit", RECORD, **changes) is found


def test_an_entry_is_at_0_where_offset_and_base_both_are() -> None:
    assert not _warns("entry-zero", RECORD, rip=0x8000, cs_base=0x8000)
    assert _warns("entry-zero", LONG, rip=0)


def test_64_bit_code_has_no_limit_of_its_stack() -> None:
    record = encoding.to_cpu_record(presets.long64(0x1000, 0x8000, 0x1000))
    assert not _warns("stack-outside-limit", record, rsp=0x101, ss_limit=0xFF)
    assert _warns("no-stack", record, rsp=0, ss_arbytes=0x93)


@pytest.mark.parametrize("base, bits", [(LONG, range(12)), (PAE, range(12))], ids=["long mode", "PAE"])
def test_the_low_bits_of_cr3_that_are_no_flags_are_warned_of(base: Image, bits: range) -> None:
    warned = [bit for bit in bits if _warns("cr3-unaligned", base, cr3=0x1000 | 1 << bit)]
    assert warned == ([0, 1, 2, 5, 6, 7, 8, 9, 10, 11] if base is LONG else [0, 1, 2, 3, 4])


def test_the_low_bits_of_cr3_are_its_own_without_paging_and_with_pcid() -> None:
    assert not _warns("cr3-unaligned", FLAT, cr3=0x1001)
    assert not _warns("cr3-unaligned", LONG, cr3=0x1001, cr4=0x20020)
    assert _warns("cr3-unaligned", PAE, cr3=0x1020, cr4=0x10)


@pytest.mark.parametrize("bit", range(32))
def test_a_bit_of_cr0_that_no_processor_has_is_warned_of(bit: int) -> None:
    exists = bit in (0, 1, 2, 3, 4, 5, 16, 18, 29, 30, 31)
    assert _warns("cr0-unknown-bit", FLAT, cr0=1 << bit) is not exists


@pytest.mark.parametrize("base, selector, said", [
    (0x8000, 0x700, "give cs_sel = cs_base / 16"), (0xFFFF0, 0x700, "give cs_sel = cs_base / 16"),
    (0x8008, 0x700, "give a base below 1 MiB"), (0x100000, 0x700, "give a base below 1 MiB"),
    (0xFFFF0000, 0xF001, "give a base below 1 MiB"), (0xFFFF0000, 0xF000, None), (0x8000, 0, None),
])
def test_in_real_mode_a_base_that_its_selector_does_not_have_is_warned_of_with_a_way_out(
    base: int, selector: int, said: str | None
) -> None:
    changes = {"cs_base": base, "cs_sel": selector}
    found = [each for each in _check(REAL.with_values(**changes)).findings if each.rule == "real-mode-base"]
    assert [said in each.message for each in found] == ([True] if said else [])  # type: ignore[operator]
    assert not _warns("real-mode-base", RECORD, **changes)


@pytest.mark.parametrize("segment", ["cs", "ds", "es", "ss", "fs", "gs"])
def test_a_limit_of_1_mib_goes_with_g_in_every_segment(segment: str) -> None:
    flat, limit, ar = RECORD[f"{segment}_arbytes"] | 0x91, f"{segment}_limit", f"{segment}_arbytes"
    cases = [(0xFFFFF, flat | 0x800), (0x100FFF, flat | 0x800), (0xFFFFF, flat & ~0x800), (0x100FFF, flat & ~0x800)]
    found = [
        [rule for rule in ("limit-counts-bytes", "g-clear") if _warns(rule, RECORD, **{limit: bytes_, ar: word})]
        for bytes_, word in cases
    ]
    assert found == [["limit-counts-bytes"], [], [], ["g-clear"]]
    assert not _warns("g-clear", RECORD, **{limit: 0x100FFF, ar: flat & ~0x880})


@pytest.mark.parametrize("segment", ["cs", "ds", "es", "ss"])
def test_a_32_bit_segment_of_64_kib_is_warned_of(segment: str) -> None:
    ar, limit, flat = f"{segment}_arbytes", f"{segment}_limit", RECORD[f"{segment}_arbytes"] & ~0x800
    found = [_warns("limit-16-bit", RECORD, **{limit: size, ar: word}) for size, word in (
        (0xFFFF, flat), (0x10000, flat), (0xFFFF, flat & ~0x400), (0xFFFF, flat & ~0x80))]
    assert found == [True, False, False, False]


@pytest.mark.parametrize("rule, segment", [("code-16-bit", "cs"), ("stack-16-bit", "ss")])
def test_a_16_bit_segment_beyond_64_kib_is_warned_of_in_protected_mode(rule: str, segment: str) -> None:
    ar, limit, narrow = f"{segment}_arbytes", f"{segment}_limit", RECORD[f"{segment}_arbytes"] & ~0xC00
    found = [_warns(rule, RECORD, **changes) for changes in (
        {ar: narrow, limit: 0x10000}, {ar: narrow, limit: 0xFFFF}, {ar: narrow | 0x400, limit: 0x10000},
        {ar: narrow | 0x200, limit: 0x10000}, {ar: narrow & ~0x80, limit: 0x10000},
        {ar: narrow, limit: 0x10000, "cr0": 0x10}, {ar: narrow, limit: 0x10000, "rflags": 0x20002})]
    assert found == [True, False, False, False, False, False, False]


@pytest.mark.parametrize("selector, limit, found", [
    (0x10, 0x17, False), (0x10, 0x16, True), (0x13, 0x17, False), (0x18, 0x17, True), (0x14, 0, False), (3, 0, False),
])
def test_a_selector_needs_all_of_its_descriptor_in_the_gdt(selector: int, limit: int, found: bool) -> None:
    assert _warns("selector-beyond-gdt", RECORD, ds_sel=selector, gdtr_limit=limit) is found
    assert not _warns("selector-beyond-gdt", RECORD, ds_sel=selector, gdtr_limit=limit, ds_arbytes=0)
    assert not _warns("selector-beyond-gdt", RECORD, ds_sel=selector, gdtr_limit=limit, cr0=0x10)


def test_a_selector_beyond_the_gdt_is_told_with_the_limit() -> None:
    record = RECORD.with_values(ds_sel=0x18, gdtr_limit=0x17)
    assert _check(record).findings[0].message.startswith("ds_sel = 0x18 with gdtr_limit = 0x17: the GDT has no such")


@pytest.mark.parametrize("limit, found", [(0, False), (7, False), (6, True), (8, True), (0xFFFF, False)])
def test_a_table_ends_with_a_whole_descriptor(limit: int, found: bool) -> None:
    for name in ("gdtr", "idtr"):
        assert _warns("table-limit-partial", RECORD, **{f"{name}_limit": limit}) is found


@pytest.mark.parametrize("word, taken", [(0xC093, ", taken by Xen as 0xc93"), (0x1093, ", taken by Xen as 0x193")])
def test_another_form_of_attributes_is_told_with_the_word_that_xen_makes_of_it(word: int, taken: str) -> None:
    message = next(each.message for each in _check(RECORD.with_values(fs_arbytes=word)).findings)
    assert message.startswith(f"fs_arbytes = {word:#x}{taken}: ")
    assert not _warns("ar-vmx-form", RECORD, fs_arbytes=0xFFF)


def test_the_warnings_hold_in_every_release() -> None:
    assert {rule.releases.text for rule in advice.RULES} == {"all"}
    assert {rule.level for rule in advice.RULES} == {Level.WARNING}
