# SPDX-License-Identifier: MIT
"""How rules are walked, and what a finding shows of the case that broke one."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

import pytest

from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.context.written import Written
from xenvcpu.rules import rule as rules
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import ALWAYS, Release, Since
from xenvcpu.rules.rule import Case, Rule, Stage
from xenvcpu.rules.verdict import Level

XEN = Release.parse("4.17")
IMAGE = vcpu_hvm_context.LAYOUT_32B.image({"eip": 5, "cs_ar": 0xC9B})


def case(features: Features = UNKNOWN, fields: Optional[Mapping[str, str]] = None,
         written: Optional[Written] = None, release: Release = XEN) -> Case:
    return Case({"rip": 6, "cs_arbytes": 0xC9B, "cr0": 1}, IMAGE, release, features, fields, written)


def a_rule(name: str, *, is_broken: bool = True, releases: Since = ALWAYS, vendor: Optional[str] = None,
           level: Level = Level.REJECTED) -> Rule:
    return Rule(
        name, ("rip", "cr0"), "needed", "remedy", lambda case: is_broken, "source", releases=releases, vendor=vendor,
        level=level, console=lambda case: f"line of {name}",
    )


def test_a_chain_stops_at_its_first_broken_rule_and_every_chain_of_a_stage_is_walked() -> None:
    stage: Stage = ((a_rule("a", is_broken=False), a_rule("b"), a_rule("c")), (a_rule("d"), a_rule("e")))
    assert [found.rule for found in rules.judge(stage, case())] == ["b", "d"]


def test_xen_answers_with_the_first_stage_that_fails() -> None:
    stages = rules.single(a_rule("a", is_broken=False), a_rule("b"), a_rule("c"))
    assert [found.rule for found in rules.first_refusal(stages, case())] == ["b"]
    assert rules.first_refusal(rules.single(a_rule("a", is_broken=False)), case()) == ()


def test_only_the_first_stage_that_fails_prints_anything() -> None:
    stages: Tuple[Stage, ...] = (((a_rule("a"),), (a_rule("b"),)), *rules.single(a_rule("c"), a_rule("d")))
    lines = [found.console for found in rules.all_refusals(stages, case())]
    assert lines == ["line of a", "line of b", None, None]


def test_a_release_has_its_own_rules_and_no_empty_stage() -> None:
    new, old = a_rule("new", releases=Since("4.18")), a_rule("old")
    stages: Tuple[Stage, ...] = (((new,),), ((new, old), (new,)), ((old,),))
    assert rules.in_release(stages, XEN) == (((old,), ()), ((old,),))


@pytest.mark.parametrize("release, vendor, applies", [
    ("4.17", None, False), ("4.18", None, True), ("4.18", "intel", True), ("4.18", "amd", False),
    ("4.17", "intel", False),
])
def test_a_rule_of_one_vendor_applies_there_and_where_the_vendor_is_unknown(
    release: str, vendor: Optional[str], applies: bool
) -> None:
    rule = a_rule("a", releases=Since("4.18"), vendor="intel")
    assert rule.applies(Release.parse(release), Features(vendor=vendor)) is applies
    assert a_rule("a").applies(XEN, Features(vendor=vendor))


@pytest.mark.parametrize("level, errno", [(Level.REJECTED, "EINVAL"), (Level.FATAL, None), (Level.WARNING, None)])
def test_only_a_refusal_has_an_errno(level: Level, errno: Optional[str]) -> None:
    found = a_rule("a", level=level).finding(case())
    assert (found.level, found.errno, found.source, found.kills_host) == (level, errno, "source", False)


@pytest.mark.parametrize("vendor, hardware, where", [
    ("intel", "VT-x", " (VT-x only)"), ("amd", "SVM", " (SVM only)"), (None, "", ""),
])
def test_a_finding_names_the_hardware_that_it_is_about(vendor: Optional[str], hardware: str, where: str) -> None:
    rule = a_rule("a", vendor=vendor)
    assert rule.hardware == hardware
    assert rule.finding(case()).message == f"rip = 0x6: needed{where}; remedy"


def test_a_finding_names_the_field_of_the_struct_and_shows_what_was_given_there() -> None:
    found = a_rule("a").finding(case(fields={"rip": "eip"}))
    assert (found.field, found.value) == ("eip", 5) and found.message.startswith("eip = 0x5: ")


def test_a_value_that_was_not_given_is_the_judged_one() -> None:
    made = case(fields={"rip": "eip"})
    assert made.is_given("rip") and not made.is_given("fs_base")
    assert (made.given("rip"), made.given("cs_arbytes"), made.field("cs_arbytes")) == (5, 0xC9B, "cs_arbytes")
    assert case().field("rip") == "rip" and case().given("rip") == 6


def test_what_was_written_counts_before_the_struct() -> None:
    written = Written({"rip": "start"}, {"start": 7})
    made = case(fields={"rip": "eip"}, written=written)
    assert (made.field("rip"), made.given("rip")) == ("start", 7)


@pytest.mark.parametrize("value, said", [
    (0xC9B, "cs_ar = 0xc9b"), (0xFFF, "cs_ar = 0xfff"), (0xC09B, "cs_ar = 0xc09b (in "),
    (0x1093, "cs_ar = 0x1093 (in "),
])
def test_attributes_in_another_form_are_said_in_both(value: int, said: str) -> None:
    written = Written({"cs_arbytes": "cs_ar"}, {"cs_ar": value, "rip": 0xC09B})
    text = case(written=written).says("cs_arbytes")
    assert text.startswith(said) and ("taken as" in text) is said.endswith("in ")
    assert case(written=written).says("rip") == "rip = 0xc09b"


def test_a_struct_is_said_as_it_is() -> None:
    image = IMAGE.with_values(cs_ar=0xC09B)
    made = Case({"cs_arbytes": 0x9B}, image, XEN, UNKNOWN, {"cs_arbytes": "cs_ar"})
    assert made.says("cs_arbytes") == "cs_ar = 0xc09b"


def test_what_a_domain_may_set_is_its_own_mask_within_its_release() -> None:
    known = case(Features(cr4_valid=0x21 | 1 << 40, efer_valid=0x501 | 1 << 41, maxphysaddr=40))
    assert (known.cr4_allowed, known.efer_allowed, known.physical_bits) == (0x21, 0x501, 40)
    assert case().physical_bits == 52 and case().efer_allowed == 0x5D01
    newer = case(Features(cr4_valid=1 << 40, efer_valid=1 << 41), release=Release.parse("staging"))
    assert (newer.cr4_allowed, newer.efer_allowed) == (1 << 40, 1 << 41)


@pytest.mark.parametrize("address, is_canonical", [
    (0, True), ((1 << 47) - 1, True), (1 << 47, False), ((1 << 64) - (1 << 47) - 1, False),
    ((1 << 64) - (1 << 47), True), ((1 << 64) - 1, True), (1 << 48, False),
], ids=hex)
def test_an_address_is_canonical_where_its_upper_17_bits_are_alike(address: int, is_canonical: bool) -> None:
    assert rules.is_canonical(address) is is_canonical


@pytest.mark.parametrize("value, is_wide", [(0, False), ((1 << 32) - 1, False), (1 << 32, True)], ids=hex)
def test_a_value_is_wide_from_the_33rd_bit_on(value: int, is_wide: bool) -> None:
    assert rules.is_wide(value) is is_wide


@pytest.mark.parametrize("value, width, text", [(0, 1, "0"), (0, 2, "00"), (1, 0, "0x1"), (1, 4, "0x01")])
def test_zero_has_no_prefix_and_as_many_digits_as_asked(value: int, width: int, text: str) -> None:
    assert rules.hex_c(value, width) == text
