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
