# SPDX-License-Identifier: MIT
"""The very lines that Xen prints, release by release (seen on 4.14, 4.17 and 4.20, or read in the source)."""

from __future__ import annotations

import pytest

from xenvcpu import encoding
from xenvcpu.context import presets
from xenvcpu.rules import cpu_record, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import hex_c

FLAT = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000))
LONG = encoding.to_vcpu_hvm_context(presets.long64(0x1000, 0x8000, 0x1000))
RECORD = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
LAB = Features(cr4_valid=0x7FC, efer_valid=0xD01, maxphysaddr=40)


@pytest.mark.parametrize(
    "value, width, text",
    [
        (0x500, 16, "0x00000000000500"),
        (0, 16, "0000000000000000"),
        (0x1000, 8, "0x001000"),
        (0x80000000, 8, "0x80000000"),
        (0, 0, "0"),
        (0xABC, 0, "0xabc"),
    ],
)
def test_numbers_look_as_xens_printk_writes_them(value: int, width: int, text: str) -> None:
    assert hex_c(value, width) == text


@pytest.mark.parametrize(
    "release, changes, lines",
    [
        ("4.14", {"cs_ar": 0}, ["Null selector provided for CS, SS or TR"]),
        ("4.15", {"cs_ar": 0}, ["Null segment attributes for CS, SS or TR"]),
        ("4.17", {"cs_ar": 0xC93}, ["Non-code segment provided for CS"]),
        ("4.17", {"ds_ar": 0xCC93}, ["Segment attribute bits 12-15 are not zero"]),
        ("4.17", {"tr_ar": 0x83}, ["Non-32-bit-TSS segment provided for TR"]),
        ("4.17", {"tr_ar": 0xC9B}, ["Code or data segment provided for TR"]),
        ("4.17", {"cs_ar": 0xC8B}, ["System segment provided for a code or data segment"]),
        ("4.17", {"ss_ar": 0xC13}, ["Non-present segment provided"]),
        ("4.17", {"ss_ar": 0xC91}, ["Non-writeable segment provided for SS"]),
        ("4.17", {"es_ar": 0xC99}, ["Non-readable segment provided for DS or ES"]),
        ("4.17", {"cs_limit": 0xFFF, "cs_ar": 0x49B}, ["EIP (0x001000) outside CS limit (0x000fff)"]),
        ("4.17", {"ss_ar": 0xCF3}, ["SS.DPL (3) is different than CS.DPL (0)"]),
        ("4.17", {"ds_ar": 0xCF3}, ["DS.DPL (3) is greater than CS.DPL (0)"]),
        ("4.17", {"es_ar": 0xCB3}, ["ES.DPL (1) is greater than CS.DPL (0)"]),
        ("4.17", {"efer": 0x400}, ["EFER.LMA set without EFER.LME (0x00000000000400)"]),
        ("4.17", {"cr4": 1 << 31}, ["Bad CR4 value: 0x00000080000000"]),
        ("4.18", {"cr4": 1 << 31}, ["Bad CR4 0x80000000 (valid 0x7fc, rejected 0x80000000)"]),
        ("4.20", {"cr4": 0x80000020}, ["Bad CR4 0x80000020 (valid 0x7fc, rejected 0x80000000)"]),
        ("4.17", {"efer": 0x102}, ["Bad EFER value (0x00000000000502): Unknown bits set"]),
        (
            "4.17",
            {"cs_ar": 0, "ss_ar": 0x13},
            ["Null segment attributes for CS, SS or TR", "Non-present segment provided"],
        ),
        ("4.17", {"pad": 1}, []),
        ("4.17", {"pad1": 1}, []),
        ("4.17", {"pad2[2]": 1}, []),
        ("4.17", {"mode": 2}, []),
    ],
)
def test_vcpuop_initialise_prints_these_lines(release: str, changes: dict[str, int], lines: list[str]) -> None:
    found = vcpuop.refusals(FLAT.with_values(**changes), Release.parse(release), LAB)
    assert found
    assert [finding.console for finding in found if finding.console is not None] == lines


@pytest.mark.parametrize("release, reason", [("4.15", "NX without feature"), ("4.16", "NXE without feature")])
def test_the_reason_for_nxe_changed_its_wording(release: str, reason: str) -> None:
    found = vcpuop.refusals(FLAT.with_values(efer=0x800), Release.parse(release), Features(efer_valid=0))
    assert found[0].console == f"Bad EFER value (0x00000000000800): {reason}"


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"rip": 1 << 47}, "RIP contains a non-canonical address (0x800000000000)"),
        ({"cr0": 0x11}, "CR0 doesn't have paging enabled (0x00000000000011)"),
        ({"cr4": 0}, "CR4 doesn't have PAE enabled (0000000000000000)"),
        ({"efer": 0x800}, "EFER doesn't have LME enabled (0x00000000000800)"),
    ],
)
def test_64b_mode_prints_these_lines(changes: dict[str, int], line: str) -> None:
    assert [finding.console for finding in vcpuop.refusals(LONG.with_values(**changes), Release.parse("4.17"))] == [
        line
    ]


def test_vcpu_info_is_refused_in_silence() -> None:
    found = vcpuop.refusals(FLAT, Release.parse("4.17"), Features(registered_vcpu_info=False), 32)
    assert [finding.console for finding in found] == [None]


@pytest.mark.parametrize(
    "release, changes, line",
    [
        ("4.17", {"cr0": 1}, "HVM1 restore: bad CR0 0x1"),
        ("4.17", {"cr4": 1 << 31}, "HVM1 restore: bad CR4 0x80000000"),
        ("4.18", {"cr4": 1 << 31}, "HVM1 restore: bad CR4 0x80000000 (valid 0x7fc, rejected 0x80000000)"),
        ("4.17", {"msr_efer": 2}, "d1v3: HVM restore: bad EFER 0x2 - Unknown bits set"),
        ("4.17", {"msr_efer": 0x500}, "d1v3: HVM restore: bad EFER 0x500 - LMA/LME/CR0.PG inconsistency"),
        ("4.18", {"dr7": 1 << 32}, "d1v3: HVM restore: bad DR6 0xffff0ff0 or DR7 0x100000000"),
        ("4.17", {"cr3": 1 << 40}, "HVM1 restore: bad CR3 0x10000000000"),
        ("4.17", {"flags": 2}, "bad flags value in CPU context: 0x2"),
        ("4.17", {"msr_tsc_aux": 1 << 32}, "d1v3: HVM restore: bad MSR_TSC_AUX 0x100000000"),
    ],
)
def test_the_load_of_a_cpu_record_prints_these_lines(release: str, changes: dict[str, int], line: str) -> None:
    found = cpu_record.refusals(RECORD.with_values(**changes), Release.parse(release), LAB)
    assert [str(finding.console).format(domid=1, vcpuid=3) for finding in found] == [line]


@pytest.mark.parametrize("changes", [{"pad0": 1}, {"pending_event": 0x80000700}])
def test_some_records_are_refused_in_silence(changes: dict[str, int]) -> None:
    found = cpu_record.refusals(RECORD.with_values(**changes), Release.parse("4.17"), UNKNOWN)
    assert [finding.console for finding in found] == [None]
