# SPDX-License-Identifier: MIT
"""The three forms in which people paste segment attributes: each is read for what it is, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.context.attribute_word import DESCRIPTOR, QEMU, XEN, understood
from xenvcpu.context.segment import Segment, SegmentAttributes
from xenvcpu.errors import ContextError

WORDS = [0xC9B, 0xA9B, 0xC93, 0x9B, 0x93, 0x8B, 0x82, 0xCF3]


@pytest.mark.parametrize("ar", WORDS, ids=hex)
def test_each_form_of_a_word_is_read_as_the_same_word_of_xen(ar: int) -> None:
    low, flags = ar & 0xFF, ar >> 8
    assert (ar, XEN) == understood(ar)
    assert ar == understood(flags << 12 | low).ar
    assert (ar, QEMU) == understood(flags << 20 | low << 8)


@pytest.mark.parametrize("word", [0xC09B, 0xA09B, 0xC093])
def test_the_words_of_a_vmcs_are_of_the_descriptor_form(word: int) -> None:
    assert DESCRIPTOR == understood(word).form


@pytest.mark.parametrize("word", [0x10000, 0x1C000, 0x10093, 0x1C0F3], ids=hex)
def test_an_unusable_segment_of_a_vmcs_is_null(word: int) -> None:
    assert (0, DESCRIPTOR) == understood(word)


@pytest.mark.parametrize("word", [0xCF9B00, 0x0F9300, 0x9B00, 0x8B00, 0x8200], ids=hex)
def test_in_qemus_form_the_top_of_the_limit_does_not_count(word: int) -> None:
    assert (word >> 8 & 0xFF | word >> 12 & 0xF00, QEMU) == understood(word)


@pytest.mark.parametrize(("word", "written"), [
    (0xCF9B, ["0xc9b", "0xf9b"]), (0xCC9B, ["0xc9b"]), (0x19000, ["0x0", "0x90"]), (0xC000, []), (0x20093, []),
    (0x1000000, []), (-1, []), (0xC09B01, []), (0x1F9B, ["0x19b", "0xf9b"]),
])
def test_a_word_of_two_forms_or_of_none_is_refused_with_what_to_write(word: int, written: list[str]) -> None:
    with pytest.raises(ContextError, match="bits 0 to 7" if not written else ".*".join(written)) as caught:
        understood(word)
    assert ("ar-form", word) == (caught.value.rule, caught.value.value)


@given(st.integers(0, (1 << 32) - 1))
def test_a_word_is_read_as_twelve_bits_or_refused(word: int) -> None:
    try:
        ar = understood(word).ar
    except ContextError as error:
        assert error.remedy
    else:
        assert ar < 1 << 12


def test_a_segment_in_python_may_have_any_form() -> None:
    assert [0xC9B] * 3 == [Segment(0, 0xFFFFFFFF, word).word for word in (0xC9B, 0xC09B, 0xC09B00)]
    assert SegmentAttributes.from_ar(0xC9B) == SegmentAttributes.from_word(0xC09B00) == Segment(ar=0xC09B).attributes
    assert 0x00CF9B000000FFFF == Segment(0, 0xFFFFFFFF, 0xC09B).descriptor
