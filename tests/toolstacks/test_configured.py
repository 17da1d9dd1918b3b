# SPDX-License-Identifier: MIT
"""What is understood of a toolstack's configuration, before there is a domain."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import Any

import pytest

from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.toolstacks import xlconfig
from xenvcpu.toolstacks.configured import NOTHING, Configured
from xenvcpu.toolstacks.libvirt import configuration

NEWEST = Release.parse("4.22")


def off(bit: int) -> str:
    """A register of a policy in libxl's form, from bit 31 down."""
    return "x" * (31 - bit) + "0" + "x" * bit


@pytest.mark.parametrize("entry, lacks", [
    ({"leaf": 1, "edx": off(1)}, {"vme"}), ({"leaf": 1, "ecx": off(17)}, {"pcid"}),
    ({"leaf": 7, "subleaf": 0, "ebx": off(20)}, {"smap"}), ({"leaf": 0x80000001, "edx": off(20)}, {"nx"}),
    ({"leaf": 7, "subleaf": 1, "eax": off(6)}, {"lass"}), ({"leaf": 1, "edx": "x" * 31 + "1"}, set()),
    ({"leaf": 1, "edx": "0"}, set()), ({"leaf": 1, "edx": None}, set()), ({"leaf": "1", "edx": off(1)}, set()),
    ({"leaf": 1, "subleaf": 0, "edx": off(1)}, set()), ("nonsense", set()),
])
@pytest.mark.parametrize("form", [lambda entries: {"cpuid": entries, "msr": []}, lambda entries: entries])
def test_a_bit_that_xl_takes_away_is_a_feature_that_the_domain_lacks(form: Any, entry: Any, lacks: set[str]) -> None:
    assert xlconfig.understood({}, {"cpuid": form([entry])}).lacks == lacks


@pytest.mark.parametrize("word, is_hap", [
    ("False", False), ("True", True), (False, False), ("<default>", None), ([], None),
])
def test_hap_is_a_word_of_libxl(word: Any, is_hap: Any) -> None:
    assert xlconfig.understood({"hap": word}, {}).is_hap is is_hap


def test_of_a_configuration_that_says_nothing_nothing_is_known() -> None:
    assert xlconfig.understood({}, {"avail_vcpus": "0-3", "cpuid": 7}) == NOTHING
    assert NOTHING.judged_by(UNKNOWN, NEWEST) == (UNKNOWN, UNKNOWN) and NOTHING.kept_offline(range(4)) == ()


def test_what_is_taken_away_narrows_a_mask_that_is_known_or_not() -> None:
    without = Configured(lacks=frozenset({"pku", "nx"}))
    narrow, wide = without.judged_by(Features(cr4_valid=0x400020), NEWEST)
    assert narrow.cr4_valid == 0x20 and wide == Features(cr4_valid=0x400020)
    assert narrow.efer_valid is not None and not narrow.efer_valid & 0x800 and narrow.efer_valid & 0x500


def test_a_bit_with_two_features_goes_with_both() -> None:
    assert Configured(lacks=frozenset({"mce"})).judged_by(UNKNOWN, NEWEST)[0].cr4_valid is None
    both = Configured(lacks=frozenset({"mce", "mca"})).judged_by(UNKNOWN, NEWEST)[0].cr4_valid
    assert both is not None and not both & 0x40


def of_xml(inner: str) -> Configured:
    return configuration.configured(xml.fromstring(f"<domain type='xen'>{inner}</domain>"))


@pytest.mark.parametrize("inner, expected", [
    ("", NOTHING),
    ("<features><hap/></features>", Configured(True)), ("<features><hap state='off'/></features>", Configured(False)),
    ("<features><hap state='?'/></features>", NOTHING),
    ("<cpu mode='host-passthrough'><feature policy='disable' name='pku'/><feature policy='forbid' name='cet-ss'/>"
     "<feature policy='require' name='smep'/><feature policy='disable' name='other'/></cpu>",
     Configured(lacks=frozenset({"pku", "cet_ss"}))),
    ("<cpu mode='custom'><feature policy='disable' name='pku'/></cpu>", NOTHING),
    ("<vcpu current='2'>4</vcpu>", Configured(online=frozenset({0, 1}))),
    ("<vcpu>2</vcpu>", Configured(online=frozenset({0, 1}))),
    ("<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='yes'/><vcpu id='2' enabled='no'/></vcpus>",
     Configured(online=frozenset({0, 3}))),
    ("<vcpu current='x'>4</vcpu>", NOTHING), ("<vcpu current='99999999999'>4</vcpu>", NOTHING),
])
def test_libvirts_xml_is_understood_as_its_driver_of_xen_does(inner: str, expected: Configured) -> None:
    assert of_xml(inner) == expected
