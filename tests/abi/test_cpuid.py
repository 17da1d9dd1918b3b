# SPDX-License-Identifier: MIT
"""The leaves of a CPU policy."""

from __future__ import annotations

import struct

import pytest

from xenvcpu.abi import cpuid
from xenvcpu.abi.cpuid import FEATURES, NO_SUBLEAF, Leaf, Leaves
from xenvcpu.errors import FormatError


def test_an_entry_is_leaf_subleaf_and_four_registers() -> None:
    data = struct.pack("<6I", 7, 0, 1, 1 << 7, 0, 1 << 20) + struct.pack("<6I", 1, NO_SUBLEAF, 0, 0, 1 << 17, 2)
    leaves = cpuid.decode(data)
    assert [name for name in FEATURES if leaves.has(name)] == ["vme", "pcid", "smep", "cet_ibt"]
    assert cpuid.encode([Leaf(7, 0, 1, 1 << 7, 0, 1 << 20), Leaf(1, c=1 << 17, d=2)]) == data


def test_a_leaf_with_subleaves_is_not_taken_for_one_without() -> None:
    leaves = Leaves([Leaf(7, NO_SUBLEAF, b=1 << 7), Leaf(1, 0, d=2)])
    assert not leaves.has("smep") and not leaves.has("vme")


def test_the_width_of_an_address_is_the_low_byte_of_its_leaf() -> None:
    assert Leaves([Leaf(0x80000008, a=0x3028)]).maxphysaddr == 40
    assert Leaves([]).maxphysaddr is None


def test_half_an_entry_is_refused() -> None:
    with pytest.raises(FormatError, match="no number of them"):
        cpuid.decode(bytes(36))


@pytest.mark.parametrize("name, word, bit", [
    ("vme", 0, 1), ("mca", 0, 14), ("sse", 0, 25), ("vmx", 1, 5), ("pcid", 1, 17), ("xsave", 1, 26), ("syscall", 2, 11),
    ("nx", 2, 20), ("ffxsr", 2, 25), ("lm", 2, 29), ("svm", 3, 2), ("fsgsbase", 5, 0), ("smap", 5, 20), ("umip", 6, 2),
    ("pks", 6, 31), ("cet_ibt", 9, 20), ("lass", 10, 6), ("auto_ibrs", 11, 8),
])
def test_a_feature_is_where_xens_feature_set_has_it(name: str, word: int, bit: int) -> None:
    """The words of a feature set (cpufeatureset.h), in Xen's order, are these registers of these leaves."""
    words = {
        0: (1, NO_SUBLEAF, "d"), 1: (1, NO_SUBLEAF, "c"), 2: (0x80000001, NO_SUBLEAF, "d"),
        3: (0x80000001, NO_SUBLEAF, "c"), 5: (7, 0, "b"), 6: (7, 0, "c"), 9: (7, 0, "d"), 10: (7, 1, "a"),
        11: (0x80000021, NO_SUBLEAF, "a"),
    }
    assert FEATURES[name] == (*words[word], bit)
