# SPDX-License-Identifier: MIT
"""Rules of VCPUOP_initialise that moved, point release by point release, against the facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.xenfacts import of_release
from xenvcpu import encoding
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.rules import effect, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release

FLAT = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000))
NOTHING_FORCED = ["4.7.0", "4.7.1", "4.8.0"]
FORCED_ALWAYS = ["4.7.2", "4.7.6", "4.8.1", "4.8.5"]
FORCED_IF_PRESENT = ["4.9.0", "4.10", "4.14", "4.17", "4.20", "4.21.0", "4.22"]


def _names(image: Image, release: str, features: Features = UNKNOWN) -> list[str]:
    return [finding.rule for finding in vcpuop.refusals(image, Release.parse(release), features)]


@pytest.mark.parametrize("release", FORCED_ALWAYS)
@pytest.mark.parametrize("segment", ["ds", "es"])
def test_a_null_data_segment_is_refused_where_the_accessed_bit_is_forced_on_it(release: str, segment: str) -> None:
    assert _names(FLAT.with_values(**{f"{segment}_ar": 0}), release) == ["system-segment"]


@pytest.mark.parametrize("release", NOTHING_FORCED + FORCED_IF_PRESENT + ["staging"])
@pytest.mark.parametrize("segment", ["ds", "es"])
def test_a_null_data_segment_is_accepted_elsewhere(release: str, segment: str) -> None:
    assert _names(FLAT.with_values(**{f"{segment}_ar": 0}), release) == []


@pytest.mark.parametrize("release", NOTHING_FORCED)
def test_the_type_of_tr_does_not_matter_at_first(release: str) -> None:
    assert _names(FLAT.with_values(tr_ar=0x83), release) == []


@pytest.mark.parametrize("release", FORCED_ALWAYS + FORCED_IF_PRESENT + ["staging"])
def test_tr_is_a_32_bit_tss_later(release: str) -> None:
    assert _names(FLAT.with_values(tr_ar=0x83), release) == ["tr-not-32bit-tss"]
    assert _names(FLAT.with_values(tr_ar=0x89), release) == []


@pytest.mark.parametrize("release", ["4.7.2", "4.8.5"])
def test_null_cs_and_tr_are_refused_for_another_reason_where_bits_are_forced_on_them(release: str) -> None:
    assert _names(FLAT.with_values(cs_ar=0, tr_ar=0), release) == ["system-segment", "tr-not-32bit-tss"]


def test_the_message_shows_the_word_that_xen_judges() -> None:
    finding = vcpuop.refusals(FLAT.with_values(ds_ar=0), Release.parse("4.8.5"))[0]
    assert finding.value == 0
    assert "ds_ar = 0x0 (0x1 once this Xen has set the accessed or busy bit)" in finding.message


@pytest.mark.parametrize(
    "release, cs, tr",
    [
        *((release, 0x9A, 0x89) for release in NOTHING_FORCED),
        *((release, 0x9B, 0x8B) for release in FORCED_ALWAYS),
        *((release, 0x9B, 0x8B) for release in FORCED_IF_PRESENT),
        ("staging", 0x9B, 0x8B),
    ],
)
def test_the_accessed_and_busy_bits_are_set_on_present_segments(release: str, cs: int, tr: int) -> None:
    xen = Release.parse(release)
    assert (effect.adjusted_ar("cs", 0x9A, xen), effect.adjusted_ar("tr", 0x89, xen)) == (cs, tr)


@pytest.mark.parametrize(
    "release, names",
    [
        ("4.7", []),
        ("4.8.4", []),
        ("4.8.5", ["efer-unknown-bit"]),
        ("4.9.2", []),
        ("4.9.3", ["efer-unknown-bit"]),
        ("4.10.1", []),
        ("4.10.2", ["efer-unknown-bit"]),
        ("4.11.0", []),
        ("4.11.1", ["efer-unknown-bit"]),
        ("4.12.0", ["efer-unknown-bit"]),
        ("4.22", ["efer-unknown-bit"]),
    ],
)
def test_unknown_efer_bits_are_refused_since_a_fix(release: str, names: list[str]) -> None:
    assert _names(FLAT.with_values(efer=2), release) == names


@pytest.mark.parametrize("release, names", [("4.8", []), ("4.9.0", ["efer-sce"])])
def test_sce_came_with_lme_whatever_the_policy_said_up_to_4_8(release: str, names: list[str]) -> None:
    assert _names(FLAT.with_values(efer=0x101), release, Features(efer_valid=0x500)) == names
    assert _names(FLAT.with_values(efer=0x001), release, Features(efer_valid=0x500)) == ["efer-sce"]


@pytest.mark.parametrize("release, names", [("4.9", ["cr4-bit"]), ("4.10", [])])
def test_umip_is_allowed_from_4_10(release: str, names: list[str]) -> None:
    assert _names(FLAT.with_values(cr4=1 << 11), release) == names


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_vcpu_info_is_needed_in_the_releases_of_the_facts(release: Release, facts: dict[str, Any]) -> None:
    first = of_release(facts["vcpu_info_from"], release)
    found = vcpuop.refusals(FLAT, release, Features(registered_vcpu_info=False), 32)
    assert [finding.rule for finding in found] == ([] if first is None else ["vcpu-info"])
    assert first in (None, vcpuop.LEGACY_MAX_VCPUS)


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_the_64b_segments_are_those_of_the_facts(release: Release, facts: dict[str, Any]) -> None:
    long = encoding.to_vcpu_hvm_context(presets.long64(0x1000, 0x8000, 0x1000))
    state = effect.after_initialise(long, release)
    for name, wanted in facts["segments_64b"].items():
        assert (state[f"{name}_arbytes"], state[f"{name}_limit"]) == (wanted["attr"], wanted["limit"])
        assert (state[f"{name}_base"], state[f"{name}_sel"]) == (wanted["base"], wanted["sel"])


@pytest.mark.parametrize(
    "release, left", [("4.17", 0x8000000A), ("4.21.0", 0x8000000A), ("4.21.1", 0x2), ("4.22", 0x2)]
)
def test_rflags_are_masked_since_a_fix(release: str, left: int) -> None:
    state = effect.after_initialise(FLAT.with_values(eflags=0x80000008), Release.parse(release))
    assert state["rflags"] == left


@pytest.mark.parametrize("release, left", [("4.8", 0xC9B), ("4.9", 0x49B)])
def test_g_follows_the_limit_from_4_9(release: str, left: int) -> None:
    state = effect.after_initialise(FLAT.with_values(cs_limit=0xFFFFF), Release.parse(release))
    assert state["cs_arbytes"] == left
