# SPDX-License-Identifier: MIT
"""Values that Xen itself faults on: the whole host goes down, not the domain alone."""

from __future__ import annotations

from itertools import product
from typing import Iterator

import pytest

from xenvcpu import encoding
from xenvcpu.abi.layout import Image
from xenvcpu.allowances import EVERY_RULE, NONE, Allowance, Allowances
from xenvcpu.context import presets
from xenvcpu.errors import RefusedContextError
from xenvcpu.newvcpu import prepare
from xenvcpu.rules import advice, cpu_record, entry, host, vcpuop
from xenvcpu.rules.check import check_context, check_record
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.verdict import Finding, Level

RECORD = encoding.to_cpu_record(presets.long64(0x100000, 0x8000, 0x1000))
FLAT = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
BIG = 1 << 47
XEN = Release.parse("4.17")
ASSERT = "debug-build-assert"
LDT = {"ldtr_arbytes": 0x82}
POINTS = [*KNOWN, Release.parse("4.12.0-rc1"), Release.parse("4.12-unstable"), Release.parse("staging")]

UNGUARDED = [{"shadow_gs": BIG}, {"msr_lstar": 1 << 63}]
WIDE_DR6 = {"dr6": 1 << 32}
ASSERTED = [
    {"cs_arbytes": 0}, {"cs_arbytes": 0xC1B}, {"cs_arbytes": 0xC9A}, {"cs_arbytes": 0xC8B}, {"cs_base": 1 << 32},
    {"ss_arbytes": 0xC92}, {"ss_arbytes": 0xC91}, {"ss_arbytes": 0xC9B}, {"ss_arbytes": 0xC83}, {"ss_base": 1 << 32},
    *({f"{name}_arbytes": ar} for name in ("ds", "es", "fs", "gs") for ar in (0xC92, 0xC99, 0xC83)),
    {"ds_base": 1 << 32}, {"es_base": 1 << 32}, {"fs_base": BIG}, {"gs_base": BIG},
    {"tr_arbytes": 0}, {"tr_arbytes": 0xB}, {"tr_arbytes": 0x89}, {"tr_arbytes": 0x81}, {"tr_arbytes": 0x9B},
    {"tr_sel": 4}, {"tr_base": BIG}, {"tr_arbytes": 0x83, "tr_base": 1 << 32},
    {"ldtr_arbytes": 0x92}, {"ldtr_arbytes": 0x8B}, {**LDT, "ldtr_sel": 4}, {**LDT, "ldtr_base": BIG},
    *({f"{name}_{part}": value} for name in ("gdtr", "idtr") for part, value in (("base", BIG), ("limit", 0x10000))),
]
SOUND = [
    {"cs_arbytes": 0xC99}, {"cs_arbytes": 0xA9B}, {"cs_arbytes": 0xC93}, {"cs_base": 0xFFFFFFFF}, {"cs_sel": 4},
    {"ss_arbytes": 0}, {"ss_arbytes": 0xC97}, {"ss_arbytes": 0, "ss_base": 1 << 32},
    {"ds_arbytes": 0}, {"es_arbytes": 0xC91}, {"fs_arbytes": 0xC9B}, {"gs_arbytes": 0, "gs_base": BIG},
    {"fs_base": 0xFFFF800000000000}, {"tr_arbytes": 0x83}, {"tr_base": 1 << 32}, {"tr_sel": 8},
    {"ldtr_arbytes": 0, "ldtr_sel": 4, "ldtr_base": BIG}, LDT, {"gdtr_limit": 0xFFFF}, {"idtr_base": 0x7FFFFFFFFFFF},
    {"tr_arbytes": 0x808B}, {"cs_arbytes": 0xC09B},
]


def _of_host(changes: dict[str, int], release: Release = XEN, features: Features = UNKNOWN) -> list[Finding]:
    findings = check_record(FLAT.with_values(**changes), release, features).findings
    return [finding for finding in findings if finding.kills_host]


def _features() -> Iterator[Features]:
    for vendor, is_hap, cr4, bits in product(("intel", "amd", None), (True, False), (None, 0x7FC), (None, 40)):
        yield Features(cr4_valid=cr4, efer_valid=cr4, maxphysaddr=bits, vendor=vendor, is_hap=is_hap)


def test_the_rules_that_protect_the_host_are_all_in_one_table() -> None:
    others = (*entry.RULES, *advice.RULES, *vcpuop.rules(), *cpu_record.rules())
    assert all(rule.kills_host and rule.level is Level.FATAL for rule in host.RULES)
    assert not any(rule.kills_host for rule in others)
    assert {rule.fields[0] for rule in host.RULES} == {next(reversed(change)) for change in (
        *UNGUARDED, WIDE_DR6, *ASSERTED)} - {"dr7"}


@pytest.mark.parametrize("changes", UNGUARDED, ids=str)
def test_no_vendor_release_or_feature_lifts_what_xen_writes_unguarded(changes: dict[str, int]) -> None:
    for release, features in product(POINTS, _features()):
        finding, = _of_host(changes, release, features)
        assert finding.as_dict()["kills_host"] and "or the whole host goes down" in finding.message


@pytest.mark.parametrize("changes", [*UNGUARDED, WIDE_DR6, *ASSERTED], ids=str)
def test_no_allowance_on_any_release_and_vendor_lets_one_through(changes: dict[str, int]) -> None:
    held = 0
    for release, features in product(POINTS, (Features(vendor=vendor) for vendor in ("intel", "amd", None))):
        vcpu = prepare(1, FLAT.with_values(**changes), release, features)
        if not any(finding.kills_host for finding in vcpu.verdict.findings):
            continue
        held += 1
        for allow in (NONE, EVERY_RULE, Allowances(frozenset(Allowance), frozenset(("all",)))):
            assert allow.refusing(vcpu.verdict)
            with pytest.raises(RefusedContextError, match="the whole host goes down"):
                vcpu.safe_for_host()
            with pytest.raises(RefusedContextError):
                vcpu.accepted(allow)
    assert held % 3 == 0 and held >= 3 * 5


def test_a_wide_dr6_is_the_hosts_death_in_all_that_may_write_it() -> None:
    for release, features in product(POINTS, _features()):
        assert bool(_of_host(WIDE_DR6, release, features)) is (release.minor < 13)


@pytest.mark.parametrize("changes", ASSERTED, ids=str)
def test_what_a_debug_build_asserts_counts_wherever_xen_has_not_said_that_it_is_none(changes: dict[str, int]) -> None:
    for release, features in product(POINTS, _features()):
        found = _of_host(changes, release, features)
        assert {finding.rule for finding in found} == ({ASSERT} if release.minor > 8 else set())
        assert all("where Xen is a debug build" in finding.message for finding in found)


@pytest.mark.parametrize("changes", ASSERTED, ids=str)
def test_xens_own_word_relaxes_what_only_debug_builds_assert(changes: dict[str, int]) -> None:
    assert _of_host(changes, features=Features(is_debug_build=True))
    assert not _of_host(changes, features=Features(is_debug_build=False))
    assert _of_host(UNGUARDED[0], features=Features(is_debug_build=False))


@pytest.mark.parametrize("changes", SOUND, ids=str)
def test_what_no_build_asserts_is_left_alone(changes: dict[str, int]) -> None:
    assert not _of_host(changes, features=Features(is_debug_build=True))


def test_a_verdict_that_rests_on_the_build_says_so() -> None:
    record = FLAT.with_values(tr_arbytes=0x89)
    assert "is_debug_build" in check_record(record, XEN).depends_on
    assert "is_debug_build" not in check_record(record, XEN, Features(is_debug_build=False)).depends_on
    assert "is_debug_build" not in check_record(FLAT, XEN).depends_on


def test_a_refusal_of_the_same_field_does_not_hide_it() -> None:
    record = FLAT.with_values(dr6=1 << 32, cr0=0)
    assert {"dr6-beyond-32-bits", "cr0-no-et"} <= {found.rule for found in check_record(record, KNOWN[0]).findings}


@pytest.mark.parametrize("preset", presets.PRESETS.values(), ids=presets.PRESETS)
def test_every_preset_is_sound_for_every_build(preset: object) -> None:
    assert callable(preset)
    for release in POINTS:
        record = encoding.to_cpu_record(preset(), release)
        assert not [found for found in check_record(record, release).findings if found.kills_host]


@pytest.mark.parametrize("segment", ["cs", "ds", "ss", "es", "tr"])
def test_what_vcpuop_takes_comes_to_no_assertion(segment: str) -> None:
    """And the same context from dom0 does not either: both set the accessed and busy bits first."""
    image = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000))
    releases = [release for release in KNOWN if release.minor > 8]
    taken = 0
    for ar, release in product(range(0x100), (releases[0], releases[-1])):
        given = image.with_values(**{f"{segment}_ar": ar})
        if vcpuop.refusals(given, release):
            continue
        taken += 1
        record = encoding.to_cpu_record(encoding.from_vcpu_hvm_context(given), release)
        findings = (*check_context(given, release).findings, *check_record(record, release).findings)
        assert not [found for found in findings if found.kills_host]
    assert taken


@pytest.mark.parametrize("field, value", [("sysenter_eip", BIG), ("dr7", 1 << 32), ("rip", BIG)])
def test_what_only_vm_entry_refuses_kills_the_domain_alone(field: str, value: int) -> None:
    findings = check_record(RECORD.with_values(**{field: value}), XEN).findings
    finding, = (found for found in findings if found.field == field)
    assert not finding.kills_host and "kills_host" not in finding.as_dict()


def _image_of(changes: dict[str, int]) -> Image:
    return FLAT.with_values(**changes)


@pytest.mark.parametrize("changes, vendor, is_debug_build, fields", [
    ({}, "intel", True, []), (UNGUARDED[0], "amd", False, []), (UNGUARDED[0], "intel", False, ["shadow_gs"]),
    ({"tr_arbytes": 0x89}, "amd", False, []), ({"tr_arbytes": 0x89}, "amd", True, ["tr_arbytes"]),
    (WIDE_DR6, "amd", False, []),
], ids=str)
def test_of_a_host_of_which_all_is_known_no_more_is_said_than_is_so(
    changes: dict[str, int], vendor: str, is_debug_build: bool, fields: list[str]
) -> None:
    features = Features(vendor=vendor, is_debug_build=is_debug_build)
    assert [found.field for found in host.faults(_image_of(changes), XEN, features)] == fields


@pytest.mark.parametrize("segment, is_narrow", [("tr", True), ("fs", False), ("gdtr", False), ("ldtr", False)])
def test_only_of_tr_it_is_said_what_a_16_bit_one_needs(segment: str, is_narrow: bool) -> None:
    finding, = _of_host({"ldtr_arbytes": 0x82, f"{segment}_base": BIG})
    assert ("16-bit TSS" in finding.message) is is_narrow
