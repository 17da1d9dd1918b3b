# SPDX-License-Identifier: MIT
"""Whole verdicts: the well-known literals, the presets, what a verdict depends on, and field names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu import encoding
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.rules.check import check_context, check_record
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.verdict import Level

XEN = Release.parse("4.17")
POINTS = [
    Release.parse(text)
    for text in ("4.7.0", "4.7.1", "4.7.2", "4.7.6", "4.8.0", "4.8.1", "4.8.5", "4.9.3", "4.21.0", "4.21.1", "staging")
]
RELEASES = [*KNOWN, *POINTS]
FLAT_LIMIT = 0xFFFFFFFF
HVMLOADER_AP = vcpu_hvm_context.LAYOUT_32B.image(
    {
        "mode": 0,
        "eip": 0x101000,
        "esp": 0x120000,
        "eax": 3,
        "cr0": 1,
        "cs_ar": 0xC9B,
        "ds_ar": 0xC93,
        "ss_ar": 0xC93,
        "es_ar": 0xC93,
        "tr_ar": 0x8B,
        "cs_limit": FLAT_LIMIT,
        "ds_limit": FLAT_LIMIT,
        "ss_limit": FLAT_LIMIT,
        "es_limit": FLAT_LIMIT,
        "tr_limit": 0x67,
    }
)
XTF = HVMLOADER_AP.with_values(cr0=0x11, cr4=0)
LIBXC_BSP = cpu_record.LAYOUT.image(
    {
        "cr0": 0x11,
        "rip": 0x1000000,
        "rbx": 0x3000,
        "cs_arbytes": 0xC9B,
        "ds_arbytes": 0xC93,
        "ss_arbytes": 0xC93,
        "es_arbytes": 0xC93,
        "tr_arbytes": 0x8B,
        "cs_limit": FLAT_LIMIT,
        "ds_limit": FLAT_LIMIT,
        "ss_limit": FLAT_LIMIT,
        "es_limit": FLAT_LIMIT,
        "tr_limit": 0x67,
    }
)
VENDORS = [UNKNOWN, Features(vendor="intel"), Features(vendor="amd")]
SOUND = [
    presets.flat32(0x1000, 0x8000),
    presets.real16(0x800, 0, 0x1000),
    presets.pae32(0x1000, 0x8000, 0x1000),
    presets.compat32(0x1000, 0x8000, 0x1000),
    presets.long64(0xFFFFFFFF80001000, 0xFFFF800000008000, 0x1000),
    presets.pvh(0x1000, 0x3000).replace(rsp=0x8000),
]
NAMES = list(presets.PRESETS)


@pytest.mark.parametrize("release", RELEASES, ids=str)
@pytest.mark.parametrize("features", VENDORS)
@pytest.mark.parametrize("literal", [HVMLOADER_AP, XTF], ids=["hvmloader", "xtf"])
def test_the_well_known_contexts_are_accepted_without_a_word(
    literal: Image, features: Features, release: Release
) -> None:
    verdict = check_context(literal, release, features)
    assert (verdict.findings, verdict.depends_on) == ((), ())


@pytest.mark.parametrize("release", RELEASES, ids=str)
@pytest.mark.parametrize("features", VENDORS)
@pytest.mark.parametrize("debug", [{}, {"dr6": 0xFFFF0FF0, "dr7": 0x400}, {"es_arbytes": 0, "es_limit": 0}])
def test_libxcs_boot_vcpu_is_accepted(debug: dict[str, int], features: Features, release: Release) -> None:
    verdict = check_record(LIBXC_BSP.with_values(**debug), release, features)
    assert [finding.rule for finding in verdict.findings] == ["no-stack"]
    assert verdict.verdict == "accepted"


@pytest.mark.parametrize("release", RELEASES, ids=str)
@pytest.mark.parametrize("context", SOUND, ids=NAMES)
def test_a_sound_use_of_a_preset_has_no_finding_on_either_interface(context: VcpuContext, release: Release) -> None:
    for verdict in (
        check_context(encoding.to_vcpu_hvm_context(context), release),
        check_record(encoding.to_cpu_record(context, release), release),
    ):
        assert (verdict.findings, verdict.depends_on) == ((), ())


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_preset_has_warnings_only(name: str) -> None:
    verdict = check_context(encoding.to_vcpu_hvm_context(presets.PRESETS[name]()), XEN)
    assert verdict.level is Level.WARNING


FLAT = encoding.to_vcpu_hvm_context(SOUND[0])
LONG = encoding.to_vcpu_hvm_context(SOUND[4])
RECORD = encoding.to_cpu_record(SOUND[0])


@pytest.mark.parametrize(
    "changes, given, name",
    [
        ({"cr4": 1 << 0}, Features(cr4_valid=0x7FF), "cr4_valid"),
        ({"cr4": 1 << 11}, Features(cr4_valid=0xFFC), "cr4_valid"),
        ({"efer": 1 << 14}, Features(efer_valid=0x4D01), "efer_valid"),
        ({"cr0": 0x20000011}, Features(vendor="amd"), "vendor"),
        ({"cr0": 0x20000011}, Features(vendor="intel"), "vendor"),
    ],
)
def test_a_verdict_says_what_it_depends_on_until_that_is_given(
    changes: dict[str, int], given: Features, name: str
) -> None:
    image = FLAT.with_values(**changes)
    assert check_context(image, XEN).depends_on == (name,)
    assert check_context(image, XEN, given).depends_on == ()


@pytest.mark.parametrize("changes", [{"cr4": 0x7FC}, {"efer": 0x801}, {"cr4": 1 << 31}, {"efer": 1 << 31}])
def test_a_verdict_within_the_baseline_or_beyond_all_releases_depends_on_nothing(changes: dict[str, int]) -> None:
    assert check_context(FLAT.with_values(**changes), XEN).depends_on == ()


def test_a_cr3_beyond_36_bits_depends_on_the_width_of_physical_addresses() -> None:
    assert check_context(LONG.with_values(cr3=1 << 36), XEN).depends_on == ("maxphysaddr",)
    assert check_context(LONG.with_values(cr3=1 << 36), XEN, Features(maxphysaddr=40)).depends_on == ()
    assert check_context(LONG.with_values(cr3=(1 << 36) - 0x1000), XEN).depends_on == ()


@pytest.mark.parametrize(
    "vcpuid, release, depends",
    [(31, "4.18", ()), (32, "4.18", ("registered_vcpu_info",)), (32, "4.19", ()), (None, "4.18", ())],
)
def test_vcpu_32_and_above_depend_on_their_vcpu_info(
    vcpuid: int | None, release: str, depends: tuple[str, ...]
) -> None:
    assert check_context(FLAT, Release.parse(release), vcpuid=vcpuid).depends_on == depends
    assert check_record(RECORD, Release.parse(release), vcpuid=vcpuid).depends_on == ()


@pytest.mark.parametrize(
    "event, release, depends",
    [
        (0x80000500, "4.17", ("vendor",)),
        (0x80000600, "4.17", ("vendor",)),
        (0x80000400, "4.17", ()),
        (0x80000500, "4.8", ()),
    ],
)
def test_an_event_that_svm_lacks_depends_on_the_vendor(event: int, release: str, depends: tuple[str, ...]) -> None:
    assert check_record(RECORD.with_values(pending_event=event), Release.parse(release)).depends_on == depends


@pytest.mark.parametrize(
    "image, changes, field",
    [
        (FLAT, {"cr0": 0x80000011, "cr4": 0x20, "cr3": 0x1000, "efer": 0x100, "cs_ar": 0xE9B}, "cs_ar"),
        (FLAT, {"efer": 0x100}, "efer"),
        (FLAT, {"eflags": 0x8002}, "eflags"),
        (FLAT, {"cs_limit": 0xF00, "cs_ar": 0x49B, "eip": 0xF01}, "eip"),
        (LONG, {"rflags": 0x8002}, "rflags"),
        (LONG, {"cr0": 1 << 31}, "cr0"),
        (FLAT, {"esp": 0}, "esp"),
        (LONG, {"rsp": 0}, "rsp"),
    ],
)
def test_findings_name_the_fields_of_the_struct_that_was_checked(
    image: Image, changes: dict[str, int], field: str
) -> None:
    finding = check_context(image.with_values(**changes), XEN).findings[0]
    assert finding.field == field
    assert finding.value == changes[field]
    assert finding.message.startswith(f"{field} = {changes[field]:#x}")


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"msr_efer": 0x101, "cr0": 0x80000011, "cr3": 0x1000}, "msr_efer"),
        ({"cs_arbytes": 0}, "cs_arbytes"),
        ({"rsp": 0}, "rsp"),
    ],
)
def test_findings_about_a_record_name_its_own_fields(changes: dict[str, int], field: str) -> None:
    assert check_record(RECORD.with_values(**changes), XEN).findings[0].field == field


def test_a_refused_context_still_tells_what_the_next_try_would_run_into() -> None:
    verdict = check_context(FLAT.with_values(cs_ar=0xC93, cr0=0x80000010, cr3=0x1000, esp=0), XEN)
    assert [(finding.rule, finding.level.value) for finding in verdict.findings] == [
        ("cs-not-code", "rejected"),
        ("pg-without-pe", "fatal"),
        ("no-stack", "warning"),
    ]
    assert (verdict.verdict, verdict.errno) == ("rejected", "EINVAL")


def test_a_field_that_was_refused_is_not_complained_about_again() -> None:
    verdict = check_record(RECORD.with_values(cr0=0x80000010, cr3=0x1000), XEN)
    assert [finding.rule for finding in verdict.findings] == ["cr0-pg-without-pe"]


def test_the_console_of_a_verdict_is_what_xen_prints() -> None:
    verdict = check_context(FLAT.with_values(cs_ar=0xC93, tr_ar=0, cr4=1 << 31), XEN)
    assert verdict.console == ("Non-code segment provided for CS", "Null segment attributes for CS, SS or TR")


def test_an_unknown_mode_ends_the_judgement() -> None:
    assert [finding.rule for finding in check_context(FLAT.with_values(mode=2), XEN).findings] == ["mode-unknown"]


@given(data=st.binary(min_size=120, max_size=120), mode=st.sampled_from([0, 1, 2]), release=st.sampled_from(RELEASES))
def test_any_bytes_can_be_judged_as_a_context(data: bytes, mode: int, release: Release) -> None:
    image = vcpu_hvm_context.decode(mode.to_bytes(4, "little") + bytes(4) + data)
    verdict = check_context(image, release)
    assert (verdict.errno is not None) == (verdict.verdict == "rejected")


@given(data=st.binary(min_size=520, max_size=520), release=st.sampled_from(RELEASES))
def test_any_bytes_can_be_judged_as_a_record(data: bytes, release: Release) -> None:
    verdict = check_record(cpu_record.decode(bytes(512) + data), release)
    assert all(finding.message and finding.source for finding in verdict.findings)


def test_thousands_of_contexts_are_judged_a_second() -> None:
    start = time.process_time()
    for _ in range(500):
        check_context(FLAT, XEN)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("changes", [{"cs_ar": 0}, {"tr_ar": 0}, {"ss_ar": 0x13}, {"ds_ar": 0xC83}], ids=str)
def test_what_vcpuop_refuses_of_a_segment_is_not_told_again_as_a_risk(changes: dict[str, int]) -> None:
    found = check_context(FLAT.with_values(**changes), XEN).findings
    assert [finding.level for finding in found if finding.field in changes] == [Level.REJECTED]


def test_a_risk_for_the_host_is_told_first_and_a_warning_last() -> None:
    found = check_record(RECORD.with_values(tr_arbytes=0x89, rip=1 << 47, rsp=0), XEN).findings
    risks = [finding.kills_host for finding in found]
    assert risks == sorted(risks, reverse=True) and {True, False} == set(risks)
    assert (found[0].level, found[-1].level) == (Level.FATAL, Level.WARNING)


@pytest.mark.parametrize("changes, given, depends", [
    ({"msr_efer": 1 << 14}, UNKNOWN, ("efer_valid",)), ({"cr4": 1 << 11}, UNKNOWN, ("cr4_valid",)),
    ({"cr3": 1 << 36}, UNKNOWN, ("maxphysaddr",)), ({"cr3": (1 << 36) - 1}, UNKNOWN, ()),
    ({"gdtr_limit": 1 << 16}, Features(vendor="amd"), ("is_debug_build",)),
    ({"cr4": 1 << 11}, Features(cr4_valid=0), ()),
    ({"cr4": 1 << 11, "msr_efer": 1 << 14, "cr3": 1 << 36, "pending_event": 0x80000500}, UNKNOWN,
     ("cr4_valid", "efer_valid", "maxphysaddr", "vendor")),
    ({"pending_event": 0x80000500}, Features(vendor="intel"), ()), ({"pending_event": 0x80000700}, UNKNOWN, ()),
], ids=str)
def test_a_verdict_on_a_record_says_what_it_depends_on(
    changes: dict[str, int], given: Features, depends: tuple[str, ...]
) -> None:
    assert check_record(RECORD.with_values(**changes), XEN, given).depends_on == depends
