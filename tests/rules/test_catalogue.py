# SPDX-License-Identifier: MIT
"""The list of all rules."""

from __future__ import annotations

import re

from xenvcpu.rules.catalogue import catalogue
from xenvcpu.rules.features import Interface
from xenvcpu.rules.verdict import Level


def test_a_name_stands_once_a_level() -> None:
    names = [(entry.name, entry.level) for entry in catalogue()]
    assert len(names) == len(set(names))


def test_names_are_lower_case_words_joined_by_hyphens() -> None:
    assert [entry.name for entry in catalogue() if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)] == []


def test_every_entry_has_a_source_a_summary_and_fields() -> None:
    assert all(entry.sources and entry.summaries and entry.fields and entry.releases.text for entry in catalogue())


def test_it_begins_with_xens_first_check_and_ends_with_the_warnings() -> None:
    entries = catalogue()
    assert entries[0].name == "vcpu-info"
    assert [entry.level for entry in entries] == sorted((entry.level for entry in entries), key=list(Level).index)


def test_a_rule_of_both_interfaces_says_so_and_lists_all_its_fields() -> None:
    shared = next(entry for entry in catalogue() if entry.name == "efer-unknown-bit")
    assert shared.interfaces == (Interface.VCPUOP, Interface.DOMCTL)
    assert shared.fields == ("efer", "msr_efer")
    assert shared.releases.text == "4.8.5, 4.9.3, 4.10.2, 4.11.1, 4.12 and later"


def test_what_differs_from_field_to_field_or_from_interface_to_interface_is_all_there() -> None:
    by_name = {entry.name: entry for entry in catalogue()}
    demands = by_name["segment-type"].summaries
    assert [text.split()[0] for text in demands] == ["CS", "DS", "ES", "FS", "GS", "SS", "TR", "LDTR"]
    assert by_name["pad-not-zero"].sources == ("arch_set_info_hvm_guest", "hvm_load_cpu_ctxt")


def test_a_lint_of_one_vendor_says_so() -> None:
    assert {entry.hardware for entry in catalogue()} == {"", "VT-x", "SVM"}
