# SPDX-License-Identifier: MIT
"""What the processor refuses after Xen accepted it: each lint from both sides of its boundary."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from xenvcpu import encoding
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.rules import check, cpu_record, effect, entry, entry_events, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Rule
from xenvcpu.rules.verdict import Level

XEN = Release.parse("4.17")
OLD = Release.parse("4.8.4")
FLAT = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
LONG = encoding.to_cpu_record(presets.long64(0x100000, 0x8000, 0x1000))
PAGED = encoding.to_cpu_record(presets.pae32(0x1000, 0x8000, 0x1000))
REAL = encoding.to_cpu_record(presets.real16(0x800, 0, 0x1000))
VM86 = FLAT.with_values(
    rflags=0x20002,
    **{
        f"{name}_{part}": value
        for name in ("cs", "ds", "es", "ss", "fs", "gs")
        for part, value in (("sel", 0), ("base", 0), ("limit", 0xFFFF), ("arbytes", 0xF3))
    },
)
BIG = 1 << 47
INTERRUPT = 1 << 31 | 0x20
EXCEPTION, ERROR_CODE = 1 << 31 | 3 << 8, 1 << 11
ON_INTEL, ON_AMD = Features(vendor="intel"), Features(vendor="amd")


def _names(state: Image, release: Release = XEN, features: Features = UNKNOWN) -> list[str]:
    return [finding.rule for finding in entry.lints(state, release, features)]


def _of(
    rule: str,
    base: Image,
    bad: dict[str, int],
    good: dict[str, int],
    release: Release = XEN,
    features: Features = UNKNOWN,
) -> Any:
    return pytest.param(rule, base, bad, good, release, features, id=f"{rule}-{next(iter(bad))}")


BOUNDARIES = [
    _of("pg-without-pe", FLAT, {"cr0": 0x80000010}, {"cr0": 0x80000011}),
    _of("nw-without-cd", FLAT, {"cr0": 0x20000011}, {"cr0": 0x60000011}),
    _of("cr0-high-bits", FLAT, {"cr0": 0x100000011}, {"cr0": 0x11}),
    _of("lma-without-pg", FLAT, {"msr_efer": 0x500}, {"msr_efer": 0x100}),
    _of("long-mode-without-pae", LONG, {"cr4": 0}, {"cr4": 0x20}),
    _of("lme-without-lma", PAGED, {"msr_efer": 0x100}, {"msr_efer": 0x500}),
    _of("cs-l-and-d", LONG, {"cs_arbytes": 0xE9B}, {"cs_arbytes": 0xC9B}),
    _of("cet-without-wp", FLAT, {"cr4": 1 << 23}, {"cr4": 1 << 23, "cr0": 0x10011}),
    _of("pcide-without-lma", FLAT, {"cr4": 1 << 17}, {"cr4": 1 << 16}),
    _of("cr3-beyond-width", LONG, {"cr3": 1 << 40}, {"cr3": 1 << 39}, features=Features(maxphysaddr=40)),
    _of("cr3-beyond-width", LONG, {"cr3": 1 << 52}, {"cr3": 1 << 51}),
    _of("pae-cr3-unaligned", PAGED, {"cr3": 0x1010}, {"cr3": 0x1020}, Release.parse("4.14")),
    _of("dr7-beyond-32-bits", FLAT, {"dr7": 1 << 32}, {"dr7": 0x400}),
    _of("efer-reserved", FLAT, {"msr_efer": 2}, {"msr_efer": 1}, OLD),
    _of("rflags-reserved", FLAT, {"rflags": 0x8002}, {"rflags": 0x3F7FD7 & ~0x20000}),
    _of("rflags-reserved", FLAT, {"rflags": 1 << 22}, {"rflags": 1 << 21}),
    _of("vm86-mode", VM86, {"cr0": 0x10}, {"cr0": 0x11}),
    _of("rip-beyond-canonical", LONG, {"rip": BIG}, {"rip": BIG - 1}),
    _of("rip-outside-limit", FLAT, {"cs_limit": 0xFFF}, {"cs_limit": 0x1FFF}),
    _of("rip-outside-limit", FLAT, {"cs_limit": 0xFFF, "idtr_limit": 0}, {"cs_limit": 0xFFF, "idtr_limit": 0xFF}),
    _of("cs-not-present", FLAT, {"cs_arbytes": 0}, {"cs_arbytes": 0xC9B}),
    _of("tr-not-present", FLAT, {"tr_arbytes": 0}, {"tr_arbytes": 0x83}),
    _of("segment-type", FLAT, {"cs_arbytes": 0xC9A}, {"cs_arbytes": 0xC93}),
    _of("segment-type", FLAT, {"ss_arbytes": 0xC91}, {"ss_arbytes": 0xC97}),
    _of("segment-type", FLAT, {"ds_arbytes": 0xC92}, {"ds_arbytes": 0}),
    _of("segment-type", FLAT, {"gs_arbytes": 0xC99}, {"gs_arbytes": 0xC9B}),
    _of("segment-type", FLAT, {"es_arbytes": 0xC83}, {"es_arbytes": 0xC91}),
    _of("segment-type", FLAT, {"tr_arbytes": 0x89}, {"tr_arbytes": 0x83}),
    _of("segment-type", LONG, {"tr_arbytes": 0x83}, {"tr_arbytes": 0x8B}),
    _of("segment-type", FLAT, {"ldtr_arbytes": 0x83}, {"ldtr_arbytes": 0x82}),
    _of("selector-in-ldt", FLAT, {"tr_sel": 4}, {"tr_sel": 0xFFFB}),
    _of("selector-in-ldt", FLAT, {"ldtr_sel": 4, "ldtr_arbytes": 0x82}, {"ldtr_sel": 4}),
    _of("interrupt-without-if", FLAT, {"pending_event": INTERRUPT}, {"pending_event": INTERRUPT, "rflags": 0x202}),
    _of("interrupt-without-if", FLAT, {"pending_event": INTERRUPT}, {"pending_event": INTERRUPT & 0xFFFF}),
    _of("interrupt-without-if", FLAT, {"pending_event": INTERRUPT}, {"pending_event": 1 << 31 | 0x202}),
    _of("nmi-vector", FLAT, {"pending_event": 1 << 31 | 0x203}, {"pending_event": 1 << 31 | 0x202}),
    _of("exception-vector", FLAT, {"pending_event": EXCEPTION | 32}, {"pending_event": EXCEPTION | 31}, XEN, ON_INTEL),
    *(
        _of("exception-vector-svm", FLAT, {"pending_event": EXCEPTION | bad}, {"pending_event": EXCEPTION | good}, XEN,
            ON_AMD)
        for bad, good in ((31, 30), (2, 1))
    ),
    *(
        _of("event-error-code", FLAT, {"pending_event": EXCEPTION | vector},
            {"pending_event": EXCEPTION | vector | ERROR_CODE})
        for vector in (8, 10, 14, 17, 21)
    ),
    *(
        _of("event-error-code", FLAT, {"pending_event": EXCEPTION | vector | ERROR_CODE},
            {"pending_event": EXCEPTION | vector})
        for vector in (0, 7, 9, 15, 16, 18, 20, 22)
    ),
    _of("event-error-code", FLAT, {"pending_event": 1 << 31 | 0x202 | ERROR_CODE}, {"pending_event": 1 << 31 | 0x202}),
    _of("event-error-code", REAL, {"pending_event": EXCEPTION | 13 | ERROR_CODE}, {"pending_event": EXCEPTION | 13}),
    _of("error-code-bits", FLAT, {"pending_event": EXCEPTION | 14 | ERROR_CODE, "error_code": 1 << 15},
        {"pending_event": EXCEPTION | 14 | ERROR_CODE, "error_code": 0x7FFF}),
    _of("limit-granularity", FLAT, {"ds_limit": 0x100000}, {"ds_limit": 0x100FFF}),
    _of("limit-granularity", FLAT, {"ds_limit": 0xFFFE}, {"ds_limit": 0xFFFF}, OLD),
    _of("base-above-4g", FLAT, {"cs_base": 1 << 32}, {"cs_base": 0xFFFFFFFF}),
    _of("base-above-4g", FLAT, {"ss_base": 1 << 32}, {"ss_base": 1 << 32, "ss_arbytes": 0}),
    _of("cs-ss-dpl", FLAT, {"cs_arbytes": 0xCFB}, {"cs_arbytes": 0xCFB, "ss_arbytes": 0xCF3}),
    _of("cs-ss-dpl", FLAT, {"cs_arbytes": 0xCFF}, {"cs_arbytes": 0xC9F, "ss_arbytes": 0xCF3}),
    _of("real-mode-dpl", FLAT, {"cs_arbytes": 0xCF3}, {"cs_arbytes": 0xC93}),
    _of("real-mode-dpl", FLAT, {"ss_arbytes": 0xCF3, "cs_arbytes": 0xC93}, {"ss_arbytes": 0xC93, "cs_arbytes": 0xC93}),
    _of("real-mode-dpl", FLAT, {"ss_arbytes": 0x60, "cs_arbytes": 0xC93}, {"ss_arbytes": 0, "cs_arbytes": 0xC93}),
    _of("real-mode-dpl", REAL, {"ss_arbytes": 0x60, "cs_arbytes": 0x9F}, {"ss_arbytes": 0, "cs_arbytes": 0x9F}),
    _of("vm86-segment", VM86, {"ds_base": 0x10}, {"ds_base": 0x10, "ds_sel": 1}),
    *(
        _of("base-not-canonical", FLAT, {name: BIG}, {name: BIG - 1})
        for name in (
            "fs_base",
            "gs_base",
            "tr_base",
            "gdtr_base",
            "idtr_base",
            "sysenter_esp",
            "sysenter_eip",
        )
    ),
    _of("base-not-canonical", FLAT, {"ldtr_base": BIG, "ldtr_arbytes": 0x82}, {"ldtr_base": BIG}),
    _of("table-limit", FLAT, {"gdtr_limit": 0x10000}, {"gdtr_limit": 0xFFFF}),
    _of("table-limit", FLAT, {"idtr_limit": 0x10000}, {"idtr_limit": 0xFFFF}),
]


@pytest.mark.parametrize("rule, base, bad, good, release, features", BOUNDARIES)
def test_a_lint_warns_of_death_on_one_side_of_its_boundary_and_not_on_the_other(
    rule: str, base: Image, bad: dict[str, int], good: dict[str, int], release: Release, features: Features
) -> None:
    found = entry.lints(base.with_values(**bad), release, features)
    assert [finding.rule for finding in found] == [rule]
    assert found[0].level is Level.FATAL
    assert found[0].source
    assert _names(base.with_values(**good), release, features) == []


def test_every_lint_has_a_boundary_here() -> None:
    assert {rule.name for rule in entry.RULES} == {param.values[0] for param in BOUNDARIES} | {"rip-above-4g"}


def test_outside_64_bit_code_rip_has_32_bits() -> None:
    assert _names(LONG.with_values(cs_arbytes=0xC9B, rip=1 << 32)) == ["rip-above-4g", "rip-outside-limit"]
    assert _names(LONG.with_values(rip=1 << 32)) == []


def test_real_mode_takes_only_dpl_0() -> None:
    raised = REAL.with_values(cs_arbytes=0xFB, ss_arbytes=0xF3)
    assert _names(raised) == ["real-mode-dpl", "real-mode-dpl"]
    assert _names(REAL) == []


@pytest.mark.parametrize("event", [0x480, 0x501, 0x603, 0x303, 0x304 | ERROR_CODE], ids=hex)
def test_an_event_that_the_guest_executes_again_is_not_injected(event: int) -> None:
    """INT n, INT1, INT3 and INTO: Xen does not hand them to the processor."""
    assert _names(FLAT.with_values(pending_event=1 << 31 | event, error_code=1 << 15)) == []


def test_vm86_does_not_go_with_long_mode() -> None:
    assert "vm86-mode" in _names(LONG.with_values(rflags=0x20002))


@pytest.mark.parametrize(
    "changes, vendor",
    [
        ({"rflags": 0x8002}, "intel"),
        ({"fs_base": BIG}, "intel"),
        ({"tr_arbytes": 0}, "intel"),
        ({"tr_sel": 4}, "intel"),
        ({"pending_event": INTERRUPT}, "intel"),
        ({"msr_efer": 0x500}, "intel"),
        ({"cr0": 0x20000011}, "amd"),
    ],
)
def test_a_lint_of_one_vendor_is_silent_on_the_other(changes: dict[str, int], vendor: str) -> None:
    other = {"intel": "amd", "amd": "intel"}[vendor]
    state = FLAT.with_values(**changes)
    assert len(_names(state, features=Features(vendor=vendor))) == 1
    assert len(_names(state)) == 1
    assert _names(state, features=Features(vendor=other)) == []


def test_the_message_names_the_only_hardware_that_a_lint_is_about() -> None:
    assert "(SVM only)" in entry.lints(FLAT.with_values(cr0=0x20000011), XEN)[0].message


def test_an_unaligned_pae_cr3_crashes_up_to_4_14() -> None:
    unaligned = PAGED.with_values(cr3=0x1010)
    assert _names(unaligned, Release.parse("4.15.0")) == []
    assert _names(unaligned, Release.parse("4.14"), Features(is_hap=False)) == []


@pytest.mark.parametrize("release, found", [("4.21.0", ["rflags-reserved"]), ("4.21.1", [])])
def test_reserved_flags_kill_only_where_xen_stores_them(release: str, found: list[str]) -> None:
    context = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000)).with_values(eflags=0x8002)
    assert _names(effect.after_initialise(context, Release.parse(release)), Release.parse(release)) == found


LAB_DEADLY_CONTEXTS: list[dict[str, int]] = [{"cr0": 0x20000011}]
LAB_RUNNING_CONTEXTS: list[dict[str, int]] = [
    {"eflags": 0, "esp": 0},
    {"cr0": 0x80000011, "cr4": 0x10, "cr3": 0x1000},
    {"cr0": 0x80000011, "cr4": 0x20, "efer": 0x500, "cr3": 0x1000},
    {"cr0": 0x80000011, "cr4": 0x20, "efer": 0x100, "cr3": 0x1000},
    {"cr0": 0x80000011, "cr4": 0x20, "efer": 0x100, "cs_ar": 0xA9B, "cr3": 0x1000},
    {"cr0": 0x10},
    {"cr0": 0},
    {"cr0": 0x10, "cs_ar": 0x9A, "cs_limit": 0xFFFF, "ds_ar": 0x92, "ss_ar": 0x92, "es_ar": 0, "tr_ar": 0x89},
    {"cr0": 0x10, "cs_ar": 0x9B, "cs_base": 0x110000},
    {"cr0": 0x11, "cs_ar": 0x9B, "cs_limit": 0xFFFF},
]
AMD_LAB = Features(cr4_valid=0x7FC, efer_valid=0xD01, maxphysaddr=40, vendor="amd", is_debug_build=False)


def test_svm_has_paged_real_mode_under_shadow_paging_and_no_long_mode_in_it() -> None:
    paged, shadow = FLAT.with_values(cr0=0x80000010), dataclasses.replace(AMD_LAB, is_hap=False)
    assert "pg-without-pe" not in _names(paged, features=shadow)
    assert "pg-without-pe" in _names(paged, features=AMD_LAB)
    assert "pg-without-pe" in _names(paged.with_values(msr_efer=0x500, cr4=0x20), features=shadow)


@pytest.mark.parametrize("changes", LAB_DEADLY_CONTEXTS)
def test_contexts_that_killed_a_domain_on_real_xen_are_fatal(changes: dict[str, int]) -> None:
    image = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000)).with_values(**changes)
    assert check.check_context(image, XEN, AMD_LAB).verdict == "fatal"
    assert vcpuop.refusals(image, XEN, AMD_LAB) == ()


@pytest.mark.parametrize("changes", LAB_RUNNING_CONTEXTS)
@pytest.mark.parametrize("features", [AMD_LAB, UNKNOWN])
def test_contexts_that_ran_on_real_xen_are_accepted(changes: dict[str, int], features: Features) -> None:
    image = encoding.to_vcpu_hvm_context(presets.flat32(0x1000, 0x8000)).with_values(**changes)
    assert check.check_context(image, XEN, features).verdict == "accepted"


@pytest.mark.parametrize(
    "base, changes",
    [
        (PAGED, {"msr_efer": 0x100}),
        (LONG, {"rip": 1 << 60}),
        (LONG, {"cs_arbytes": 0xE9B}),
        (FLAT, {"cr0": 0x20000011}),
        (FLAT, {"cs_arbytes": 0}),
    ],
)
def test_records_that_killed_a_domain_on_real_xen_are_fatal(base: Image, changes: dict[str, int]) -> None:
    record = base.with_values(**changes)
    assert cpu_record.refusals(record, XEN, AMD_LAB) == ()
    assert check.check_record(record, XEN, AMD_LAB).verdict == "fatal"


@pytest.mark.parametrize(
    "base, changes",
    [
        (REAL, {"cs_sel": 0x800}),
        (FLAT, {"tr_arbytes": 0}),
        (FLAT, {"ss_arbytes": 0}),
        (FLAT, {"rflags": 0}),
        (LONG, {"rip": 0xFFFFFFFF80001000}),
    ],
)
def test_records_that_ran_on_real_xen_are_accepted(base: Image, changes: dict[str, int]) -> None:
    assert check.check_record(base.with_values(**changes), XEN, AMD_LAB).verdict == "accepted"



TAKEN = {
    "cs": (0x13, 0x19, 0x1B, 0x1D, 0x1F), "ss": (0x13, 0x17), "tr": (3, 11), "ldtr": (2,),
    **dict.fromkeys(("ds", "es", "fs", "gs"), (0x11, 0x13, 0x15, 0x17, 0x1B, 0x1F)),
}


def _breaks(rule: str, state: Image, release: Release = XEN) -> bool:
    return rule in _names(state, release)


@pytest.mark.parametrize("segment", TAKEN)
def test_a_segment_has_one_of_the_types_of_the_manual(segment: str) -> None:
    """SDM volume 3C, 26.3.1.2; the lower five bits are S and the type."""
    field = f"{segment}_arbytes"
    found = [low for low in range(32) if not _breaks("segment-type", FLAT.with_values(**{field: 0x80 | low}))]
    assert found == list(TAKEN[segment])
    assert not any(_breaks("segment-type", FLAT.with_values(**{field: low})) for low in range(32))


def test_up_to_4_8_the_type_of_tr_becomes_busy_and_no_other() -> None:
    def taken(field: str) -> list[int]:
        return [low for low in range(32) if not _breaks("segment-type", FLAT.with_values(**{field: 0x80 | low}), OLD)]

    assert taken("tr_arbytes") == [1, 3, 9, 11]
    assert taken("ds_arbytes") == list(TAKEN["ds"])


@pytest.mark.parametrize("kind, deeper", [(9, True), (11, True), (13, False), (15, False)])
def test_code_has_the_dpl_of_its_stack_and_conforming_code_no_higher(kind: int, deeper: bool) -> None:
    found = [
        _breaks("cs-ss-dpl", FLAT.with_values(cs_arbytes=0xC90 | kind | cs << 5, ss_arbytes=0xC93 | ss << 5))
        for cs, ss in ((1, 2), (2, 2), (2, 1))
    ]
    assert found == [deeper, False, True]


@pytest.mark.parametrize("kind", [3, 1, 5, 7])
def test_a_cs_of_data_has_no_dpl_to_compare(kind: int) -> None:
    assert not _breaks("cs-ss-dpl", FLAT.with_values(cs_arbytes=0xC90 | kind, ss_arbytes=0xCF3))


@pytest.mark.parametrize("segment", ["cs", "ds", "es", "ss", "fs", "gs"])
@pytest.mark.parametrize(
    "part, value", [("arbytes", 0xF7), ("arbytes", 0x1F3), ("base", 1), ("limit", 0xFFFE), ("sel", 1)]
)
def test_every_part_of_every_segment_is_bound_in_virtual_8086_mode(segment: str, part: str, value: int) -> None:
    assert _names(VM86) == []
    assert _names(VM86.with_values(**{f"{segment}_{part}": value})) == ["vm86-segment"]
    shifted = {f"{segment}_sel": 0x1234, f"{segment}_base": 0x12340}
    assert _names(VM86.with_values(**shifted)) == []


@pytest.mark.parametrize("segment", ["cs", "ds", "es", "ss"])
def test_the_base_of_a_segment_that_programs_use_has_32_bits(segment: str) -> None:
    assert _breaks("base-above-4g", FLAT.with_values(**{f"{segment}_base": 1 << 32}))
    absent = FLAT.with_values(**{f"{segment}_base": 1 << 32, f"{segment}_arbytes": 0})
    assert _breaks("base-above-4g", absent) is (segment == "cs")


@pytest.mark.parametrize("segment", TAKEN)
def test_a_limit_that_counts_pages_ends_in_a_whole_page(segment: str) -> None:
    ar = FLAT[f"{segment}_arbytes"] | 0x80

    def breaks(limit: int, word: int, release: Release) -> bool:
        changes = {f"{segment}_limit": limit, f"{segment}_arbytes": word}
        return _breaks("limit-granularity", FLAT.with_values(**changes), release)

    for release in (OLD, XEN):
        found = [breaks(limit, ar & ~0x800, release) for limit in (0xFFFFE, 0xFFFFF, 0x100000, 0x1FFFFE, 0x1FFFFF)]
        assert found == [False, False, True, True, False]
        assert not breaks(0x100000, ar & ~0x80, release)
    assert [breaks(0xFFFE, ar | 0x800, release) for release in (OLD, Release.parse("4.8"), Release.parse("4.9.0"))] == [
        True, True, False
    ]
    assert not breaks(0xFFFFE, ar & ~0x800, OLD)


@pytest.mark.parametrize("event, found", [
    (0x20 | ERROR_CODE, ["event-error-code"]), (0x202, []), (0x302 | 0, ["exception-vector-svm"]),
    (0x303 | ERROR_CODE, []), (0x304 | ERROR_CODE, []), (0x305 | ERROR_CODE, ["event-error-code"]),
    *((0x100 * kind | 0x0E, []) for kind in (1, 4, 5, 6, 7)),
])
def test_an_event_is_judged_by_its_type(event: int, found: list[str]) -> None:
    assert _names(FLAT.with_values(pending_event=1 << 31 | event, rflags=0x202)) == found


@pytest.mark.parametrize("vector", range(32))
def test_an_exception_has_an_error_code_in_protected_mode_where_the_manual_gives_it_one(vector: int) -> None:
    def wrong(error_code: int, state: Image = FLAT) -> bool:
        return _breaks("event-error-code", state.with_values(pending_event=EXCEPTION | vector | error_code))

    has_one = vector in (8, 10, 11, 12, 13, 14, 17, 21)
    is_injected = vector not in (3, 4)
    assert (wrong(0), wrong(ERROR_CODE)) == (has_one, not has_one and is_injected)
    assert (wrong(0, REAL), wrong(ERROR_CODE, REAL)) == (False, is_injected)


def test_an_error_code_is_judged_only_where_the_event_has_one() -> None:
    assert _names(FLAT.with_values(pending_event=EXCEPTION | 13, error_code=1 << 15)) == ["event-error-code"]
    assert _names(FLAT.with_values(pending_event=1 << 31 | 0x20, error_code=1 << 15, rflags=0x202)) == []
    assert _names(FLAT.with_values(pending_event=EXCEPTION & 0xFFFF | 13 | ERROR_CODE, error_code=1 << 15)) == []


@pytest.mark.parametrize(
    "event, manual", [(EXCEPTION | 32, "SDM volume 3C, 26.2.1.3"), (EXCEPTION | 2, "APM volume 2, 15.20")]
)
def test_a_rule_for_an_event_is_of_its_vendors_manual(event: int, manual: str) -> None:
    assert {finding.source for finding in entry.lints(FLAT.with_values(pending_event=event), XEN)} >= {manual}
    assert {rule.source[:3] for rule in entry_events.RULES if rule.vendor == "amd"} == {"APM"}


def test_whether_an_event_has_an_error_code_depends_on_cr0() -> None:
    fields = {rule.name: rule.fields[1:] for rule in entry_events.RULES}
    assert {name for name, more in fields.items() if more} == {"event-error-code"}
    assert fields["event-error-code"] == ("cr0",)


BITS = {"PG": ("cr0", 31), "PE": ("cr0", 0), "PAE": ("cr4", 5), "PCIDE": ("cr4", 17), "LME": ("msr_efer", 8),
        "LMA": ("msr_efer", 10)}
NEEDS: list[tuple[str, str, str]] = [
    ("pg-without-pe", "PG", "PE"), ("lma-without-pg", "LMA", "PG"), ("long-mode-without-pae", "LMA PG", "PAE"),
    ("lme-without-lma", "PG LME", "LMA"), ("pcide-without-lma", "PCIDE", "LMA"),
    ("pae-cr3-unaligned", "PG PAE", "LMA PCIDE"),
]


@pytest.mark.parametrize("rule, present, absent", NEEDS, ids=[rule for rule, _, _ in NEEDS])
def test_paging_and_long_mode_are_bound_by_these_bits_alone(rule: str, present: str, absent: str) -> None:
    for chosen in range(1 << len(BITS)):
        given = {name for number, name in enumerate(BITS) if chosen >> number & 1}
        state = FLAT.with_values(cr0=0x10, cr4=0, cr3=0x1010, msr_efer=0)
        for name in given:
            field, bit = BITS[name]
            state = state.with_values(**{field: state[field] | 1 << bit})
        is_broken = given.issuperset(present.split()) and given.isdisjoint(absent.split())
        assert _breaks(rule, state, Release.parse("4.14")) is is_broken, given


def test_a_cr3_is_as_wide_as_it_likes_under_shadow_paging() -> None:
    assert _names(LONG.with_values(cr3=1 << 52), features=Features(is_hap=False)) == []


def test_l_and_d_go_together_outside_long_mode() -> None:
    assert _names(FLAT.with_values(cs_arbytes=0xE9B)) == []


@pytest.mark.parametrize("bit", range(24))
def test_a_flag_that_no_processor_has_is_refused(bit: int) -> None:
    has_none = bit in (3, 5, 15, 22, 23)
    assert _breaks("rflags-reserved", FLAT.with_values(rflags=1 << bit)) is has_none


@pytest.mark.parametrize("changes, found", [
    ({"rip": 0x1000, "cs_limit": 0x1000}, []), ({"rip": 0x1001, "cs_limit": 0x1000}, ["rip-outside-limit"]),
    ({"rip": 0x1001, "cs_limit": 0x1000, "idtr_limit": 1}, []),
    ({"rip": 0x1001, "cs_limit": 0x1000, "cs_arbytes": 0}, ["cs-not-present"]),
    ({"rip": 0xFFFFFFFF}, []), ({"rip": 1 << 32}, ["rip-above-4g", "rip-outside-limit"]),
    ({"dr7": 0xFFFFFFFF}, []), ({"cr0": 0xFFFFFFFF}, []), ({"cr0": 1 << 32 | 1}, ["cr0-high-bits"]),
    ({"ss_arbytes": 0x73, "cr0": 0x10}, ["cs-ss-dpl", "real-mode-dpl"]), ({"cs_arbytes": 0x1B}, ["cs-not-present"]),
    ({"tr_sel": 4, "tr_arbytes": 0}, ["tr-not-present"]),
])
def test_the_last_value_that_is_taken_is_taken(changes: dict[str, int], found: list[str]) -> None:
    assert _names(FLAT.with_values(**changes)) == found


@pytest.mark.parametrize("name", ["PE", "LMA"])
def test_virtual_8086_mode_is_protected_mode_and_not_long_mode(name: str) -> None:
    field, bit = BITS[name]
    assert _names(VM86) == []
    assert _breaks("vm86-mode", VM86.with_values(**{field: VM86[field] ^ 1 << bit}))


BOTH_VENDORS = {
    "pg-without-pe", "cr0-high-bits", "long-mode-without-pae", "lme-without-lma", "cs-l-and-d", "cet-without-wp",
    "cr3-beyond-width", "dr7-beyond-32-bits", "rip-beyond-canonical", "rip-outside-limit", "cs-not-present",
}
SVM = {"nw-without-cd", "efer-reserved", "exception-vector-svm"}


@pytest.mark.parametrize("rule", entry.RULES, ids=lambda rule: f"{rule.name}-{rule.fields[0]}")
def test_a_rule_is_of_the_processors_and_releases_that_have_it(rule: Rule) -> None:
    vendor = None if rule.name in BOTH_VENDORS else "amd" if rule.name in SVM else "intel"
    last = {"pae-cr3-unaligned": "before 4.15", "efer-reserved": "before 4.8.5, 4.9.3, 4.10.2, 4.11.1, 4.12"}
    assert (rule.vendor, rule.releases.text) == (vendor, last.get(rule.name, "all"))
