# SPDX-License-Identifier: MIT
"""Each rule of the CPU record load from both sides of its boundary, its history and the order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.xenfacts import is_since
from xenvcpu import encoding
from xenvcpu.abi import cpu_record as layout
from xenvcpu.context import presets
from xenvcpu.rules import cpu_record
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release

XEN = Release.parse("4.18")
RECORD = encoding.to_cpu_record(presets.flat32(0x1000, 0x8000))
VALID = 1 << 31


def _names(changes: dict[str, int], release: Release = XEN, features: Features = UNKNOWN) -> list[str]:
    return [finding.rule for finding in cpu_record.refusals(RECORD.with_values(**changes), release, features)]


def _of(rule: str, bad: dict[str, int], good: dict[str, int], features: Features = UNKNOWN) -> Any:
    return pytest.param(rule, bad, good, features, id=f"{rule}-{next(iter(bad))}")


BOUNDARIES = [
    _of("pad-not-zero", {"pad0": 1}, {"pad0": 0}),
    _of("cr0-reserved-bit", {"cr0": 0x51}, {"cr0": 0xE005003F}),
    _of("cr0-reserved-bit", {"cr0": 1 << 32 | 0x11}, {"cr0": 0x11}),
    _of("cr0-no-et", {"cr0": 0x1}, {"cr0": 0x10}),
    _of("cr0-pg-without-pe", {"cr0": 0x80000010}, {"cr0": 0x80000011}),
    _of("cr4-bit", {"cr4": 1 << 12}, {"cr4": 1 << 24}),
    _of("efer-unknown-bit", {"msr_efer": 2}, {"msr_efer": 1}),
    _of("efer-sce", {"msr_efer": 0x101}, {"msr_efer": 0x100}, Features(efer_valid=0xD00)),
    _of("efer-lme", {"msr_efer": 0x100}, {"msr_efer": 1}, Features(efer_valid=1)),
    _of("efer-lma", {"msr_efer": 0x500}, {"msr_efer": 0x500, "cr0": 0x80000011}),
    _of("efer-lma", {"msr_efer": 0x400, "cr0": 0x80000011}, {"msr_efer": 0x100, "cr0": 0x80000011}),
    _of("efer-nxe", {"msr_efer": 0x800}, {"msr_efer": 1}, Features(efer_valid=0x501)),
    _of("efer-svme", {"msr_efer": 0x1000}, {"msr_efer": 1}, Features(efer_valid=0xD01)),
    _of("efer-ffxse", {"msr_efer": 0x4000}, {"msr_efer": 1}, Features(efer_valid=0xD01)),
    _of("efer-aibrse", {"msr_efer": 1 << 21}, {"msr_efer": 1}, Features(efer_valid=0xD01)),
    _of("dr6-high-bits", {"dr6": 1 << 32}, {"dr6": 0xFFFFFFFF}),
    _of("dr7-high-bits", {"dr7": 1 << 32}, {"dr7": 0xFFFFFFFF}),
    _of("cr3-width", {"cr3": 1 << 40}, {"cr3": (1 << 40) - 1}, Features(maxphysaddr=40)),
    _of("cr3-width", {"cr3": 1 << 52}, {"cr3": (1 << 52) - 1}),
    _of("flags-unknown", {"flags": 2}, {"flags": 1}),
    _of("tsc-aux-high-bits", {"msr_tsc_aux": 1 << 32}, {"msr_tsc_aux": 0xFFFFFFFF}),
    _of("pending-event-type", {"pending_event": VALID | 1 << 8}, {"pending_event": VALID | 2 << 8}),
    _of("pending-event-type", {"pending_event": VALID | 7 << 8}, {"pending_event": VALID | 6 << 8}),
    _of("pending-event-type", {"pending_event": VALID | 7 << 8}, {"pending_event": 7 << 8}),
    _of(
        "pending-event-type-svm",
        {"pending_event": VALID | 5 << 8},
        {"pending_event": VALID | 4 << 8},
        Features(vendor="amd"),
    ),
    _of("pending-event-reserved", {"pending_event": VALID | 1 << 12}, {"pending_event": VALID | 0x0E}),
    _of(
        "error-code-width",
        {"error_code": 0x10000, "pending_event": VALID | 0xB0E},
        {"error_code": 0x10000, "pending_event": VALID | 0x30E},
    ),
    _of(
        "error-code-width",
        {"error_code": 0x10000, "pending_event": VALID | 0xB0E},
        {"error_code": 0xFFFF, "pending_event": VALID | 0xB0E},
    ),
]


@pytest.mark.parametrize("rule, bad, good, features", BOUNDARIES)
def test_a_rule_refuses_on_one_side_of_its_boundary_and_not_on_the_other(
    rule: str, bad: dict[str, int], good: dict[str, int], features: Features
) -> None:
    assert _names(bad, features=features) == [rule]
    assert _names(good, features=features) == []


def test_every_rule_has_a_boundary_here() -> None:
    assert {rule.name for rule in cpu_record.rules()} == {param.values[0] for param in BOUNDARIES} | {"efer-lmsle"}


def test_lmsle_needs_its_feature_up_to_4_11() -> None:
    old = Release.parse("4.11")
    assert _names({"msr_efer": 1 << 13}, old, Features(efer_valid=0xD01)) == ["efer-lmsle"]
    assert _names({"msr_efer": 1 << 13}, old) == []


@pytest.mark.parametrize(
    "changes, before, since",
    [
        ({"dr7": 1 << 32}, "4.17", "4.18.0"),
        ({"cr3": 1 << 52}, "4.13", "4.14.0"),
        ({"msr_tsc_aux": 1 << 32}, "4.11", "4.12.0"),
        ({"pending_event": VALID | 0x80E, "error_code": 1 << 16}, "4.8", "4.9.0"),
        ({"msr_efer": 2}, "4.11.0", "4.11.1"),
    ],
)
def test_a_rule_came_with_a_release(changes: dict[str, int], before: str, since: str) -> None:
    assert _names(changes, Release.parse(before)) == []
    assert len(_names(changes, Release.parse(since))) == 1


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_the_checks_begin_in_the_releases_of_the_facts(release: Release, facts: dict[str, Any]) -> None:
    broken = {"pad0": 1, "dr6": 1 << 32, "cr3": 1 << 60, "flags": 2, "msr_tsc_aux": 1 << 32, "cr4": 1 << 12}
    checked = facts["cpu_record_checked_from"]
    assert checked.keys() == broken.keys()
    for field, value in broken.items():
        assert bool(_names({field: value}, release)) is is_since(release, checked[field]), field


@pytest.mark.parametrize(
    "release, vendor, names",
    [("4.8", "amd", []), ("4.9", "amd", ["pending-event-type-svm"]), ("4.9", "intel", []), ("4.9", None, [])],
)
def test_svm_refuses_types_that_it_does_not_have_from_4_9(release: str, vendor: str | None, names: list[str]) -> None:
    assert _names({"pending_event": VALID | 6 << 8}, Release.parse(release), Features(vendor=vendor)) == names


def test_sce_needs_its_feature_on_this_path_in_every_release() -> None:
    assert _names({"msr_efer": 0x101}, Release.parse("4.8"), Features(efer_valid=0x500)) == ["efer-sce"]


ORDERED: list[tuple[str, dict[str, int]]] = [
    ("pad-not-zero", {"pad0": 1}),
    ("cr0-no-et", {"cr0": 0}),
    ("cr4-bit", {"cr4": 1 << 12}),
    ("efer-unknown-bit", {"msr_efer": 2}),
    ("dr6-high-bits", {"dr6": 1 << 40, "dr7": 1 << 40}),
    ("cr3-width", {"cr3": 1 << 60}),
    ("flags-unknown", {"flags": 4}),
    ("tsc-aux-high-bits", {"msr_tsc_aux": 1 << 40}),
    ("pending-event-type", {"pending_event": VALID | 1 << 8}),
]


@pytest.mark.parametrize("position", range(len(ORDERED)), ids=[name for name, _ in ORDERED])
def test_xen_stops_at_the_first_check_that_fails(position: int) -> None:
    changes: dict[str, int] = {}
    for _, change in ORDERED[position:]:
        changes.update(change)
    assert _names(changes) == [ORDERED[position][0]]


def test_problems_lists_them_all_in_order() -> None:
    changes: dict[str, int] = {}
    for _, change in ORDERED:
        changes.update(change)
    found = cpu_record.problems(RECORD.with_values(**changes), XEN)
    assert [finding.rule for finding in found] == [name for name, _ in ORDERED]


def test_segments_are_not_looked_at() -> None:
    changes = {f"{name}_arbytes": 0xFFFF for name in layout.SEGMENTS}
    assert _names(changes) == []


def test_a_record_of_4_6_has_no_flags_and_is_judged_all_the_same() -> None:
    short = layout.decode(RECORD.pack()[:1024])
    assert cpu_record.refusals(short, XEN) == ()


@given(data=st.binary(min_size=520, max_size=520), release=st.sampled_from(KNOWN))
def test_refusals_are_where_the_problems_begin(data: bytes, release: Release) -> None:
    record = layout.decode(bytes(512) + data)
    refused = cpu_record.refusals(record, release)
    assert cpu_record.problems(record, release)[: len(refused)] == refused


EVENT = VALID | 0x0F


@pytest.mark.parametrize("bit", range(8, 31))
def test_bits_12_to_30_of_a_pending_event_are_reserved(bit: int) -> None:
    found = _names({"pending_event": EVENT | 1 << bit})
    assert ("pending-event-reserved" in found) is (bit >= 12) and _names({"pending_event": 0x0F | 1 << bit}) == []


@pytest.mark.parametrize("event, names", [
    (0, []), (0xB0E, []), (EVENT, []), (EVENT | 0x800, ["error-code-width"]), (EVENT | 0xB00, ["error-code-width"]),
    (0x800, []),
], ids=str)
def test_an_error_code_counts_where_an_event_has_one(event: int, names: list[str]) -> None:
    assert _names({"pending_event": event, "error_code": 0x10000}) == names
    assert _names({"pending_event": event, "error_code": 0xFFFF}) == []


@pytest.mark.parametrize("kind, intel, amd", [
    (0, [], []), (1, ["pending-event-type"], ["pending-event-type"]), (2, [], []), (3, [], []), (4, [], []),
    (5, [], ["pending-event-type-svm"]), (6, [], ["pending-event-type-svm"]),
    (7, ["pending-event-type"], ["pending-event-type"]),
])
def test_each_vendor_knows_its_types_of_events(kind: int, intel: list[str], amd: list[str]) -> None:
    changes = {"pending_event": EVENT | kind << 8}
    for vendor, names in (("intel", intel), (None, intel), ("amd", amd)):
        assert _names(changes, features=Features(vendor=vendor)) == names
    assert cpu_record.pending_type(cpu_record.case(RECORD.with_values(**changes), XEN)) == kind
    assert cpu_record.pending_type(cpu_record.case(RECORD.with_values(pending_event=kind << 8), XEN)) is None


@pytest.mark.parametrize("changes, features, said", [
    ({"cr3": 1 << 40}, Features(maxphysaddr=40), "cr3 = 0x10000000000 needs more than 40 bits: "),
    ({"pending_event": VALID | 5 << 8}, Features(vendor="amd"), " Xen also crashes the domain for it (SVM only); "),
])
def test_a_refusal_says_what_it_depends_on(changes: dict[str, int], features: Features, said: str) -> None:
    (found,) = cpu_record.refusals(RECORD.with_values(**changes), XEN, features)
    assert said in found.message


@pytest.mark.parametrize("bit", range(34))
def test_cr0_has_the_bits_of_a_guest(bit: int) -> None:
    is_known = bool(0xE005003F >> bit & 1)
    assert ("cr0-reserved-bit" in _names({"cr0": 0x11 | 1 << bit})) is not is_known
