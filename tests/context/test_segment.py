# SPDX-License-Identifier: MIT
"""Segments: the forms in which their attributes and limits are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.context.segment import VMX_UNUSABLE, Segment, SegmentAttributes
from xenvcpu.errors import ContextError

FLAT_CODE, FLAT_DATA, LONG_CODE = 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00AF9B000000FFFF
AR = st.integers(0, 0xFFF)


@given(AR)
def test_every_attribute_word_is_read_by_name_and_written_again(ar: int) -> None:
    assert ar == SegmentAttributes.from_ar(ar).ar


def test_the_bits_have_the_names_of_the_manuals() -> None:
    expected = SegmentAttributes(type=0xB, s=1, dpl=3, p=1, avl=0, l=1, db=0, g=1)
    assert expected == SegmentAttributes.from_ar(0xAFB)


@given(AR.map(lambda ar: ar | 0x80))
def test_a_present_segment_survives_the_vmx_form(ar: int) -> None:
    attributes = SegmentAttributes.from_ar(ar)
    assert attributes == SegmentAttributes.from_vmx(attributes.vmx)


@pytest.mark.parametrize(("ar", "vmx"), [(0xC9B, 0xC09B), (0xA9B, 0xA09B), (0x8B, 0x8B), (0, VMX_UNUSABLE)])
def test_the_vmx_form_has_a_gap_and_an_unusable_bit(ar: int, vmx: int) -> None:
    assert vmx == SegmentAttributes.from_ar(ar).vmx


def test_an_unusable_vmx_segment_is_null() -> None:
    assert SegmentAttributes() == SegmentAttributes.from_vmx(VMX_UNUSABLE | 0xC093)


@given(AR)
def test_the_svm_form_is_the_word_of_xen(ar: int) -> None:
    assert ar == SegmentAttributes.from_svm(ar).svm


def test_a_vmx_word_given_for_xens_is_refused_with_the_right_one() -> None:
    with pytest.raises(ContextError, match="0xc9b"):
        SegmentAttributes.from_ar(0xC09B)


@pytest.mark.parametrize("changes", [{"type": 16}, {"dpl": 4}, {"p": 2}, {"g": -1}])
def test_an_attribute_that_does_not_fit_is_refused_by_name(changes: dict[str, int]) -> None:
    with pytest.raises(ContextError) as caught:
        SegmentAttributes(**changes)
    assert next(iter(changes)) == caught.value.field


@given(st.integers(0, 2**64 - 1))
def test_any_descriptor_comes_back_bit_for_bit(descriptor: int) -> None:
    assert descriptor == Segment.from_descriptor(descriptor).descriptor


@pytest.mark.parametrize(("descriptor", "ar"), [(FLAT_CODE, 0xC9B), (FLAT_DATA, 0xC93), (LONG_CODE, 0xA9B)])
def test_the_well_known_descriptors_are_flat(descriptor: int, ar: int) -> None:
    assert Segment(0, 0xFFFFFFFF, ar, 8) == Segment.from_descriptor(descriptor, 8)


def test_a_descriptor_has_its_base_in_three_pieces() -> None:
    assert 0x12345678 == Segment.from_descriptor(0x1200_0034_5678_0000).base


def test_a_limit_counts_bytes_whatever_g_says() -> None:
    in_pages, in_bytes = Segment.from_descriptor(0x00809B0000000001), Segment.from_descriptor(0x00009B0000000001)
    assert [0x1FFF, 1] == [in_pages.limit, in_bytes.limit]


@pytest.mark.parametrize(("limit", "ar"), [(0xFFFE, 0xC93), (0, 0xC93), (0x100000, 0x93), (0xFFFFFFFF, 0x93)])
def test_a_limit_that_g_cannot_express_has_no_descriptor(limit: int, ar: int) -> None:
    with pytest.raises(ContextError) as caught:
        _ = Segment(0, limit, ar).descriptor
    assert "limit-granularity" == caught.value.rule


def test_a_base_above_4_gib_has_no_descriptor() -> None:
    with pytest.raises(ContextError) as caught:
        _ = Segment(1 << 32, 0xFFFF, 0x93).descriptor
    assert "base" == caught.value.field


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), AR)
def test_a_segment_with_a_descriptor_is_the_one_it_describes(base: int, limit: int, ar: int) -> None:
    segment = Segment(base, limit, ar)
    try:
        descriptor = segment.descriptor
    except ContextError as error:
        assert "limit-granularity" == error.rule
    else:
        assert segment == Segment.from_descriptor(descriptor)


@pytest.mark.parametrize("changes", [{"base": 1 << 64}, {"limit": 1 << 32}, {"ar": -1}, {"selector": 1 << 32}])
def test_a_part_that_does_not_fit_is_refused_by_name(changes: dict[str, int]) -> None:
    with pytest.raises(ContextError) as caught:
        Segment(**changes)
    assert next(iter(changes)) == caught.value.field
