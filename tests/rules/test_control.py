# SPDX-License-Identifier: MIT
"""The tables of control register bits, against the facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.xenfacts import is_since
from xenvcpu.rules import control
from xenvcpu.rules.efer import REFUSES_UNKNOWN
from xenvcpu.rules.release import KNOWN, Release


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_the_known_cr4_bits_are_those_of_the_facts(release: Release, facts: dict[str, Any]) -> None:
    bits = (bit for _, bit, since in facts["cr4_bits"] if is_since(release, since))
    assert control.cr4_known(release) == sum(1 << bit for bit in bits)


def test_the_cr4_bits_have_the_names_of_the_facts(facts: dict[str, Any]) -> None:
    assert [[bit.name, bit.bit] for bit in control.CR4_BITS] == [[name, bit] for name, bit, _ in facts["cr4_bits"]]


def test_the_efer_bits_are_those_of_the_facts(facts: dict[str, Any]) -> None:
    assert [[bit.name, bit.bit] for bit in control.EFER_BITS] == facts["efer_bits"]


def test_unknown_efer_bits_are_refused_from_the_point_releases_of_the_facts(facts: dict[str, Any]) -> None:
    assert [f"{first}.0" if first.count(".") == 1 else first for first in REFUSES_UNKNOWN.first] == facts[
        "efer_unknown_bits_refused_from"
    ]


@pytest.mark.parametrize("release, known", [("4.11", True), ("4.12", False)])
def test_lmsle_is_known_up_to_4_11(release: str, known: bool) -> None:
    assert bool(control.efer_known(Release.parse(release)) & 1 << 13) is known


@pytest.mark.parametrize("release, known", [("4.17", False), ("4.18", True)])
def test_aibrse_is_known_from_4_18(release: str, known: bool) -> None:
    assert bool(control.efer_known(Release.parse(release)) & 1 << 21) is known


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_every_release_knows_the_baseline(release: Release) -> None:
    assert control.CR4_BASELINE & ~control.cr4_known(release) == 0
    assert control.EFER_BASELINE & ~control.efer_known(release) == 0


def test_a_mask_that_was_given_counts_within_what_the_release_knows() -> None:
    release = Release.parse("4.17")
    assert control.allowed(0xFFFFFFFF, control.cr4_known(release), release) == control.cr4_known(release)


def test_a_mask_that_was_given_counts_alone_in_a_newer_release() -> None:
    release = Release.parse("staging")
    assert control.allowed(1 << 40, control.cr4_known(release), release) == 1 << 40


def test_bits_without_a_name_are_named_by_number() -> None:
    assert control.bit_names(0x1020, control.CR4_BITS) == "PAE, bit 12"


def test_the_baselines_are_what_every_x86_64_processor_has() -> None:
    """AMD64 as it began: CR4 from TSD to OSXMMEXCPT, EFER with SCE, LME, LMA and NXE, 36 physical bits of 52."""
    assert (control.CR4_BASELINE, control.EFER_BASELINE) == (0x7FC, 0xD01)
    assert (control.PHYSICAL_BASELINE, control.PHYSICAL_MOST) == (36, 52)


def test_cr0_has_the_bits_of_the_manual() -> None:
    """SDM volume 3A, 2.5: PE MP EM TS ET NE WP AM NW CD PG."""
    assert control.CR0_KNOWN == sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 16, 18, 29, 30, 31))


def test_bits_are_named_from_the_lowest_to_the_highest() -> None:
    assert control.bit_names(0, control.CR4_BITS) == ""
    assert control.bit_names(1 << 63 | 3, control.CR4_BITS) == "VME, PVI, bit 63"


def test_a_mask_that_was_not_given_is_all_that_the_release_knows() -> None:
    assert control.allowed(None, 0x21, Release.parse("4.17")) == 0x21
