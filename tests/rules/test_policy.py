# SPDX-License-Identifier: MIT
"""From CPUID leaves to what a domain may set."""

from __future__ import annotations

import pytest

from xenvcpu.abi.cpuid import FEATURES, NO_SUBLEAF, Leaf, Leaves
from xenvcpu.model import cpupolicy
from xenvcpu.rules import control, policy
from xenvcpu.rules.control import CR4_BITS, EFER_BITS
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release

LAB = Leaves((
    Leaf(1, a=0x60FB1, b=0x20800, c=0xC0202001, d=0x178BFBFD), Leaf(7, 0),
    Leaf(0x80000001, a=0x60FB1, c=1, d=0x2193FBFD), Leaf(0x80000008, a=0x3028, b=0x100000, c=1),
))
"""The leaves that count, as Xen 4.17 gave them of a domain under QEMU's emulated SVM."""
NEWEST = KNOWN[-1]


def test_the_policy_of_the_lab_gives_the_masks_that_its_xen_goes_by() -> None:
    found = policy.features(LAB, Release.parse("4.17"))
    assert (found.cr4_valid, found.efer_valid, found.maxphysaddr) == (0x7FC, 0xD01, 40)


def test_without_any_feature_only_pce_may_be_set() -> None:
    assert policy.features(Leaves(()), NEWEST) == Features(cr4_valid=1 << 8, efer_valid=0)


@pytest.mark.parametrize("bits, attribute", [(CR4_BITS, "cr4_valid"), (EFER_BITS, "efer_valid")])
def test_each_bit_hangs_on_its_own_features(bits: tuple[control.ControlBit, ...], attribute: str) -> None:
    everything = cpupolicy.leaves(UNKNOWN, "intel", NEWEST)
    for bit in bits:
        for feature in bit.features if NEWEST in bit.releases else ():
            place = FEATURES[feature]
            only = [0] * 4
            only["abcd".index(place.register)] = 1 << place.bit
            alone = policy.features(Leaves([Leaf(place.leaf, place.subleaf, *only)]), NEWEST)
            assert getattr(alone, attribute) & bit.mask, feature
        missing = [leaf._replace(**dict.fromkeys("abcd", 0)) for leaf in everything]
        assert bool(getattr(policy.features(Leaves(missing), NEWEST), attribute) & bit.mask) is (not bit.feature)


def test_a_feature_counts_from_the_release_on_that_lets_a_guest_use_it() -> None:
    cet = Leaves([Leaf(7, 0, c=1 << 7)])
    masks = [policy.features(cet, Release.parse(text)).cr4_valid or 0 for text in ("4.15", "4.16")]
    assert [mask >> 23 & 1 for mask in masks] == [0, 1]


def test_the_models_policy_of_a_domain_gives_what_the_domain_may_set() -> None:
    for release in (release for release in KNOWN if release in policy.READABLE):
        may = Features(cr4_valid=0x3707FF, efer_valid=0xD01, maxphysaddr=46)
        assert policy.features(Leaves(cpupolicy.leaves(may, "amd", release)), release) == may


def test_of_what_is_read_and_what_is_given_the_stricter_holds() -> None:
    read = Features(cr4_valid=0x7FC, efer_valid=0xD01, maxphysaddr=40)
    found = policy.within(read, Features(cr4_valid=0xFFFF0F0, efer_valid=0x501, maxphysaddr=36, vendor="amd"))
    assert found == Features(cr4_valid=0x0F0, efer_valid=0x501, maxphysaddr=36, vendor="amd")
    assert policy.within(read, UNKNOWN) == read
    assert policy.within(UNKNOWN, read) == read


def test_the_subleaf_of_a_plain_leaf_is_xens() -> None:
    assert NO_SUBLEAF == (1 << 32) - 1
