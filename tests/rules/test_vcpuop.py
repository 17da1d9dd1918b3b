# SPDX-License-Identifier: MIT
"""Each rule of VCPUOP_initialise from both sides of its boundary, and the order among them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu import encoding
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.rules import vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release

XEN = Release.parse("4.17")
FLAT = encoding.to_vcpu_hvm_context(presets.flat32(0x10000, 0x8000))
LONG = encoding.to_vcpu_hvm_context(presets.long64(0x100000, 0x8000, 0x1000))
NO_LM = Features(efer_valid=0)


def _names(image: Image, release: Release = XEN, features: Features = UNKNOWN, vcpuid: int | None = None) -> list[str]:
    return [finding.rule for finding in vcpuop.refusals(image, release, features, vcpuid)]


def _32b(rule: str, field: str, bad: dict[str, int], good: dict[str, int], features: Features = UNKNOWN) -> Any:
    return pytest.param(FLAT, rule, field, bad, good, features, id=f"{rule}-{field}")


def _64b(rule: str, field: str, bad: int, good: int, features: Features = UNKNOWN) -> Any:
    return pytest.param(LONG, rule, field, {field: bad}, {field: good}, features, id=f"64B-{rule}-{field}")


BOUNDARIES = [
    _32b("pad-not-zero", "pad", {"pad": 1}, {"pad": 0}),
    _32b("mode-unknown", "mode", {"mode": 2}, {"mode": 0}),
    _32b("pad-not-zero", "pad1", {"pad1": 1}, {"pad1": 0}),
    *(_32b("pad-not-zero", f"pad2[{n}]", {f"pad2[{n}]": 1}, {f"pad2[{n}]": 0}) for n in range(3)),
    *(
        _32b("ar-reserved-bits", f"{name}_ar", {f"{name}_ar": 0x1000 | ar}, {f"{name}_ar": ar})
        for name, ar in (("cs", 0xC9B), ("ds", 0xC93), ("ss", 0xC93), ("es", 0xC93), ("tr", 0x8B))
    ),
    _32b("null-segment", "cs_ar", {"cs_ar": 0}, {"cs_ar": 0x9A}),
    _32b("null-segment", "ss_ar", {"ss_ar": 0}, {"ss_ar": 0x92}),
    _32b("null-segment", "tr_ar", {"tr_ar": 0}, {"tr_ar": 0x89}),
    _32b("tr-code-or-data", "tr_ar", {"tr_ar": 0x9B}, {"tr_ar": 0x8B}),
    _32b("tr-not-32bit-tss", "tr_ar", {"tr_ar": 0x83}, {"tr_ar": 0x89}),
    _32b("system-segment", "cs_ar", {"cs_ar": 0xC8B}, {"cs_ar": 0xC9B}),
    _32b("system-segment", "ds_ar", {"ds_ar": 0xC83}, {"ds_ar": 0}),
    _32b("segment-not-present", "es_ar", {"es_ar": 0xC13}, {"es_ar": 0xC93}),
    _32b("segment-not-present", "tr_ar", {"tr_ar": 0x0B}, {"tr_ar": 0x8B}),
    _32b("cs-not-code", "cs_ar", {"cs_ar": 0xC97}, {"cs_ar": 0xC99}),
    _32b("ss-not-writable", "ss_ar", {"ss_ar": 0xC91}, {"ss_ar": 0xC97}),
    _32b("ss-not-writable", "ss_ar", {"ss_ar": 0xC9B}, {"ss_ar": 0xC93}),
    _32b("data-not-readable", "ds_ar", {"ds_ar": 0xC99}, {"ds_ar": 0xC9B}),
    _32b("data-not-readable", "es_ar", {"es_ar": 0xC99}, {"es_ar": 0xC91}),
    _32b("eip-outside-cs", "eip", {"cs_ar": 0x49B, "cs_limit": 0xFFFF}, {"cs_ar": 0x49B, "cs_limit": 0x10000}),
    _32b("eip-outside-cs", "eip", {"cs_limit": 0xF}, {"cs_limit": 0x10}),
    _32b("ss-dpl", "ss_ar", {"ss_ar": 0xCF3}, {"ss_ar": 0xCF3, "cs_ar": 0xCFB}),
    _32b("ds-dpl", "ds_ar", {"ds_ar": 0xCF3}, {"ds_ar": 0xCF3, "cs_ar": 0xCFB, "ss_ar": 0xCF3}),
    _32b("es-dpl", "es_ar", {"es_ar": 0xCB3}, {"es_ar": 0xCB3, "cs_ar": 0xCBB, "ss_ar": 0xCB3}),
    _32b("lma-without-lme", "efer", {"efer": 0x400}, {"efer": 0x500}),
    _32b("cr4-bit", "cr4", {"cr4": 1 << 12}, {"cr4": 1 << 11}),
    _32b("cr4-bit", "cr4", {"cr4": 1 << 7}, {"cr4": 1 << 5}, Features(cr4_valid=0x20)),
    _32b("efer-unknown-bit", "efer", {"efer": 2}, {"efer": 1}),
    _32b("efer-sce", "efer", {"efer": 1}, {"efer": 0}, Features(efer_valid=0xD00)),
    _32b("efer-lme", "efer", {"efer": 0x100}, {"efer": 0}, NO_LM),
    _32b("efer-nxe", "efer", {"efer": 0x800}, {"efer": 0x501}, Features(efer_valid=0x501)),
    _32b("efer-svme", "efer", {"efer": 0x1000}, {"efer": 0x1}, Features(efer_valid=0xD01)),
    _32b("efer-ffxse", "efer", {"efer": 0x4000}, {"efer": 0x1}, Features(efer_valid=0xD01)),
    _64b("pad-not-zero", "pad", 1, 0),
    _64b("rip-not-canonical", "rip", 1 << 47, (1 << 47) - 1),
    _64b("rip-not-canonical", "rip", 0xFFFF7FFFFFFFFFFF, 0xFFFF800000000000),
    _64b("cr0-no-paging", "cr0", 1, 1 << 31),
    _64b("cr4-no-pae", "cr4", 0, 1 << 5),
    _64b("efer-no-lme", "efer", 0, 1 << 8),
    _64b("cr4-bit", "cr4", 1 << 32 | 1 << 5, 1 << 5),
    _64b("efer-unknown-bit", "efer", 1 << 32 | 1 << 8, 1 << 8),
]


@pytest.mark.parametrize("base, rule, field, bad, good, features", BOUNDARIES)
def test_a_rule_refuses_on_one_side_of_its_boundary_and_not_on_the_other(
    base: Image, rule: str, field: str, bad: dict[str, int], good: dict[str, int], features: Features
) -> None:
    found = vcpuop.refusals(base.with_values(**bad), XEN, features)
    assert [(finding.rule, finding.field, finding.errno) for finding in found] == [(rule, field, "EINVAL")]
    assert vcpuop.refusals(base.with_values(**good), XEN, features) == ()


def test_every_rule_has_a_boundary_here() -> None:
    elsewhere = {"vcpu-info", "efer-lmsle", "efer-aibrse"}
    assert {rule.name for rule in vcpuop.rules()} == {param.values[1] for param in BOUNDARIES} | elsewhere


def test_lmsle_needs_its_feature_up_to_4_11() -> None:
    image = FLAT.with_values(efer=1 << 13)
    assert _names(image, Release.parse("4.11"), Features(efer_valid=0xD01)) == ["efer-lmsle"]
    assert _names(image, Release.parse("4.11"), Features(efer_valid=0x2D01)) == []


def test_aibrse_needs_its_feature_from_4_18() -> None:
    image = FLAT.with_values(efer=1 << 21)
    assert _names(image, Release.parse("4.18"), Features(efer_valid=0xD01)) == ["efer-aibrse"]
    assert _names(image, Release.parse("4.18"), Features(efer_valid=0x200D01)) == []


@pytest.mark.parametrize(
    "vcpuid, registered, names", [(32, False, ["vcpu-info"]), (31, False, []), (32, True, []), (32, None, [])]
)
def test_vcpu_32_and_above_need_a_registered_vcpu_info(vcpuid: int, registered: bool | None, names: list[str]) -> None:
    assert _names(FLAT, Release.parse("4.18"), Features(registered_vcpu_info=registered), vcpuid) == names


def test_a_finding_about_vcpu_info_names_the_vcpu() -> None:
    finding = vcpuop.refusals(FLAT, XEN, Features(registered_vcpu_info=False), 40)[0]
    assert (finding.field, finding.value) == ("vcpuid", 40)


def test_all_five_segments_are_evaluated_and_each_stops_at_its_first_failure() -> None:
    bad = FLAT.with_values(cs_ar=0xF000, ds_ar=0x13, ss_ar=0, es_ar=0x99, tr_ar=0x1B)
    assert _names(bad) == [
        "ar-reserved-bits",
        "segment-not-present",
        "null-segment",
        "data-not-readable",
        "tr-code-or-data",
    ]


ORDERED: list[tuple[str, dict[str, int]]] = [
    ("pad-not-zero", {"pad": 1}),
    ("mode-unknown", {"mode": 7}),
    ("pad-not-zero", {"pad1": 1}),
    ("cs-not-code", {"cs_ar": 0xC93}),
    ("eip-outside-cs", {"eip": 0xFFFFFFFF, "cs_limit": 0}),
    ("ss-dpl", {"ss_ar": 0xCF3}),
    ("ds-dpl", {"ds_ar": 0xCF3}),
    ("es-dpl", {"es_ar": 0xCF3}),
    ("lma-without-lme", {"efer": 0x402}),
    ("cr4-bit", {"cr4": 1 << 31}),
    ("efer-unknown-bit", {"efer": 0x502}),
]


@pytest.mark.parametrize("position", range(len(ORDERED)), ids=[name for name, _ in ORDERED])
def test_xen_stops_at_the_first_stage_that_fails(position: int) -> None:
    changes: dict[str, int] = {}
    for _, change in reversed(ORDERED[position:]):
        changes.update(change)
    assert _names(FLAT.with_values(**changes)) == [ORDERED[position][0]]


def test_64b_stages_come_in_xens_order() -> None:
    bad = LONG.with_values(rip=1 << 63, cr0=0, cr4=1 << 12, efer=2)
    mended: list[str] = []
    for field, value in (
        ("rip", 0),
        ("cr0", 1 << 31),
        ("cr4", 1 << 12 | 1 << 5),
        ("efer", 0x102),
        ("cr4", 1 << 5),
        ("efer", 0x100),
    ):
        mended += _names(bad)
        bad = bad.with_values(**{field: value})
    assert mended == ["rip-not-canonical", "cr0-no-paging", "cr4-no-pae", "efer-no-lme", "cr4-bit", "efer-unknown-bit"]
    assert _names(bad) == []


def test_problems_lists_the_findings_of_all_stages_in_order() -> None:
    bad = FLAT.with_values(pad=1, cs_ar=0xC93, cr4=1 << 31, efer=2)
    assert [finding.rule for finding in vcpuop.problems(bad, XEN)] == [
        "pad-not-zero",
        "cs-not-code",
        "cr4-bit",
        "efer-unknown-bit",
    ]


def test_only_the_stage_that_xen_stops_at_has_a_console_line() -> None:
    found = vcpuop.problems(FLAT.with_values(cs_ar=0xC93, tr_ar=0, cr4=1 << 31), XEN)
    assert [finding.console is not None for finding in found] == [True, True, False]


def test_with_an_unknown_mode_nothing_behind_it_is_judged() -> None:
    assert [finding.rule for finding in vcpuop.problems(FLAT.with_values(mode=9, pad1=1, cs_ar=0), XEN)] == [
        "mode-unknown"
    ]


def test_padding_of_the_32b_block_does_not_matter_in_64b_mode() -> None:
    image = vcpu_hvm_context.decode(LONG.pack()[:-8] + b"\xff" * 8)
    assert _names(image) == []


def test_a_message_says_what_was_given_what_is_needed_and_how_to_get_it() -> None:
    finding = vcpuop.refusals(FLAT.with_values(cs_ar=0xC93), XEN)[0]
    assert finding.message == (
        "cs_ar = 0xc93: CS must be a code segment (type bit 3 set); give 0xc9b for flat 32-bit code, "
        "0x9b for 16-bit code"
    )


@given(data=st.binary(min_size=128, max_size=128), mode=st.sampled_from([0, 1, 2]), release=st.sampled_from(KNOWN))
def test_refusals_are_where_the_problems_begin(data: bytes, mode: int, release: Release) -> None:
    image = vcpu_hvm_context.decode(mode.to_bytes(4, "little") + bytes(4) + data[8:])
    refused = vcpuop.refusals(image, release)
    assert vcpuop.problems(image, release)[: len(refused)] == refused


@pytest.mark.parametrize("limit, ar, last", [
    (0xF, 0xC9B, 0xFFFF), (0x10, 0xC9B, 0x10FFF), (0, 0x89B, 0xFFF), (0xFFFFF, 0xC9B, 0xFFFFFFFF),
    (0xFFFFFFFF, 0xC9B, 0xFFFFFFFF), (0x1234, 0x49B, 0x1234),
])
def test_eip_is_compared_with_the_last_byte_of_a_limit_in_pages_or_bytes(limit: int, ar: int, last: int) -> None:
    image = FLAT.with_values(cs_limit=limit, cs_ar=ar)
    assert _names(image.with_values(eip=last)) == []
    if last < 0xFFFFFFFF:
        assert _names(image.with_values(eip=last + 1)) == ["eip-outside-cs"]


@pytest.mark.parametrize("segment", ["ds", "es"])
def test_a_null_data_segment_has_no_dpl(segment: str) -> None:
    assert _names(FLAT.with_values(**{f"{segment}_ar": 0})) == []


@pytest.mark.parametrize("changes, said", [
    ({"ss_ar": 0xCF3}, "ss_ar = 0xcf3 has DPL 3, cs_ar = 0xc9b has 0: SS and CS must have the same DPL"),
    ({"ds_ar": 0xCB3}, "ds_ar = 0xcb3 has DPL 1, cs_ar = 0xc9b has 0: DS must not have a DPL above that of CS"),
    ({"es_ar": 0xCD3}, "es_ar = 0xcd3 has DPL 2, cs_ar = 0xc9b has 0: ES must not have a DPL above that of CS"),
    ({"eip": 0x1000, "cs_limit": 0}, "eip = 0x1000, the limit of CS is 0xfff: EIP must be within"),
    ({"cr4": 1 << 12 | 1 << 5}, "cr4 = 0x1020 has bit 12: CR4 may only have"),
    ({"ss_ar": 0xC98}, "ss_ar = 0xc98 (0xc99 once this Xen has set the accessed or busy bit): SS must be a writable"),
    ({"tr_ar": 0x0B}, "tr_ar = 0xb: the segment must be"),
])
def test_a_message_has_the_other_value_that_the_rule_compares_with(changes: dict[str, int], said: str) -> None:
    assert vcpuop.refusals(FLAT.with_values(**changes), XEN)[0].message.startswith(said)


@pytest.mark.parametrize("field, mask", [("cr0", 1 << 31), ("cr4", 1 << 5), ("efer", 1 << 8)])
def test_the_remedy_for_64b_mode_names_the_bit(field: str, mask: int) -> None:
    message = vcpuop.refusals(LONG.with_values(**{field: 0}), XEN)[0].message
    assert f"({mask:#x})" in message


@pytest.mark.parametrize("release, vcpuid, registered, found", [
    ("4.18", 32, False, ["vcpu-info"]), ("4.18", 31, False, []), ("4.18", 32, True, []), ("4.18", 32, None, []),
    ("4.19.0", 32, False, []),
])
def test_vcpu_info_is_asked_for_before_the_context_is_read(
    release: str, vcpuid: int, registered: bool | None, found: list[str]
) -> None:
    features = Features(registered_vcpu_info=registered)
    refused = vcpuop.refusals_before_reading(Release.parse(release), features, vcpuid)
    assert [finding.rule for finding in refused] == found
    assert vcpuop.needs_vcpu_info(Release.parse(release), vcpuid) is (release == "4.18" and vcpuid == 32)


def test_without_a_vcpuid_no_vcpu_info_is_needed() -> None:
    assert not vcpuop.needs_vcpu_info(XEN, None)
    assert vcpuop.needs_vcpu_info(XEN, 33)


def test_every_rule_but_those_for_efer_holds_in_all_releases_but_these() -> None:
    found = {rule.name: rule.releases.text for rule in vcpuop.rules() if not rule.name.startswith("efer-")}
    changed = {"vcpu-info": "before 4.19", "tr-not-32bit-tss": "4.7.2, 4.8.1, 4.9 and later"}
    assert {name: text for name, text in found.items() if text != "all"} == changed


def test_the_rules_of_32b_mode_come_before_those_of_64b_mode() -> None:
    names = [rule.name for rule in vcpuop.rules()]
    assert (names[0], names.count("vcpu-info"), names.count("eip-outside-cs")) == ("vcpu-info", 2, 1)
    assert names.index("eip-outside-cs") < names.index("rip-not-canonical")
