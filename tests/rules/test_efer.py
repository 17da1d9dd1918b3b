# SPDX-License-Identifier: MIT
"""EFER as both interfaces check it, release by release."""

from __future__ import annotations

from typing import Any

import pytest

from xenvcpu import encoding
from xenvcpu.context import presets
from xenvcpu.rules import cpu_record, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release

FLAT = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000))
LONG = encoding.to_vcpu_hvm_context(presets.long64(0x1000, 0x8000, 0x1000))
RECORD = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
NONE = Features(efer_valid=0)


def inside(efer: int, release: str, features: Features = UNKNOWN, image: Any = FLAT) -> list[str]:
    found = vcpuop.refusals(image.with_values(efer=efer), Release.parse(release), features)
    return [finding.rule for finding in found]


def outside(efer: int, release: str, features: Features = UNKNOWN, cr0: int = 0x11) -> list[str]:
    found = cpu_record.refusals(RECORD.with_values(msr_efer=efer, cr0=cr0), Release.parse(release), features)
    return [finding.rule for finding in found]


@pytest.mark.parametrize("before, since", [
    ("4.8.4", "4.8.5"), ("4.9.2", "4.9.3"), ("4.10.1", "4.10.2"), ("4.11.0", "4.11.1"), ("4.7", "4.12.0"),
])
def test_bits_that_xen_does_not_know_are_refused_from_a_release_on(before: str, since: str) -> None:
    for refused in (inside, outside):
        assert (refused(2, before), refused(2, since)) == ([], ["efer-unknown-bit"])


@pytest.mark.parametrize("name, bit", [("efer-nxe", 11), ("efer-svme", 12), ("efer-ffxse", 14), ("efer-sce", 0)])
@pytest.mark.parametrize("release", ["4.7", "4.17", "staging"])
def test_a_bit_needs_the_feature_of_the_domain(name: str, bit: int, release: str) -> None:
    for refused in (inside, outside):
        assert refused(1 << bit, release, NONE) == [name]
        assert refused(1 << bit, release, Features(efer_valid=1 << bit)) == []


@pytest.mark.parametrize("release, names", [
    ("4.11.0", ["efer-lmsle"]), ("4.11.1", ["efer-lmsle"]), ("4.12.0", ["efer-unknown-bit"]),
    ("4.22", ["efer-unknown-bit"]),
])
def test_lmsle_became_unknown_in_4_12(release: str, names: list[str]) -> None:
    assert inside(1 << 13, release, NONE) == outside(1 << 13, release, NONE) == names


@pytest.mark.parametrize("release, names", [
    ("4.17", ["efer-unknown-bit"]), ("4.18.0", ["efer-aibrse"]), ("4.22", ["efer-aibrse"]),
])
def test_automatic_ibrs_became_known_in_4_18(release: str, names: list[str]) -> None:
    assert inside(1 << 21, release, NONE) == outside(1 << 21, release, NONE) == names


@pytest.mark.parametrize("release, names", [("4.22", ["efer-unknown-bit"]), ("staging", [])])
def test_a_mask_of_the_domain_counts_in_a_release_newer_than_the_tables(release: str, names: list[str]) -> None:
    newer = Features(efer_valid=1 << 40)
    assert inside(1 << 40, release, newer) == outside(1 << 40, release, newer) == names
    assert outside(1 << 40, "staging", Features(efer_valid=1)) == ["efer-unknown-bit"]
    assert outside(1, "staging", newer) == ["efer-sce"]


@pytest.mark.parametrize("release, efer, names", [
    ("4.8", 0x101, []), ("4.9.0", 0x101, ["efer-sce"]), ("4.17", 0x101, ["efer-sce"]),
])
def test_up_to_4_8_vcpuop_lets_sce_through_with_lme(release: str, efer: int, names: list[str]) -> None:
    assert inside(efer, release, Features(efer_valid=0x500), LONG) == names
    assert inside(1, release, Features(efer_valid=0x500)) == ["efer-sce"]


@pytest.mark.parametrize("efer, cr0, names", [
    (0x500, 0x80000011, []), (0x500, 0x11, ["efer-lma"]), (0x400, 0x80000011, ["efer-lma"]),
    (0x400, 0x11, ["efer-lma"]),
    (0x100, 0x11, []), (0x100, 0x80000011, []), (0, 0x80000011, []),
])
def test_a_record_with_lma_needs_lme_and_paging(efer: int, cr0: int, names: list[str]) -> None:
    assert outside(efer, "4.17", cr0=cr0) == names


@pytest.mark.parametrize("efer", [0x100, 0x400, 0x500], ids=hex)
def test_lme_and_lma_need_long_mode(efer: int) -> None:
    assert outside(efer, "4.17", NONE, 0x80000011) == ["efer-lme"]
    assert outside(efer, "4.17", Features(efer_valid=0x800), 0x80000011) == ["efer-lme"]


@pytest.mark.parametrize("efer, said", [
    (0x802, "msr_efer = 0x802 has bit 1: "), (0x801, "msr_efer = 0x801 has SCE, NXE: "),
])
def test_a_refusal_names_the_bits_that_are_unknown_or_all_that_are_set(efer: int, said: str) -> None:
    (found,) = cpu_record.refusals(RECORD.with_values(msr_efer=efer), Release.parse("4.17"), NONE)
    assert found.message.startswith(said)


def test_the_rules_of_a_record_know_paging_and_those_of_vcpuop_do_not() -> None:
    for rules, source in (
        (cpu_record.rules(), "hvm_efer_valid(cr0_pg = CR0.PG)"), (vcpuop.rules(), "hvm_efer_valid(cr0_pg = -1)"),
    ):
        of_efer = {rule.name: rule for rule in rules if rule.source.startswith("hvm_efer_valid")}
        assert {rule.source for rule in of_efer.values()} == {source}
        assert ("efer-lma" in of_efer) is ("CR0.PG" in source)
        assert all(rule.fields[1:] == (("cr0",) if name == "efer-lma" else ()) for name, rule in of_efer.items())
