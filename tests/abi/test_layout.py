# SPDX-License-Identifier: MIT
"""Layouts and images: what every codec stands on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi.layout import Field, Layout, sequence
from xenvcpu.errors import ContextError, FormatError

GAPPED = Layout("gapped", 16, [Field("b", 2, 2), Field("a", 0, 1), Field("c", 8, 4)])


@given(st.binary(min_size=16, max_size=16))
def test_a_struct_with_gaps_comes_back_byte_for_byte(data: bytes) -> None:
    assert data == GAPPED.unpack(data).pack()


def test_bytes_that_no_field_covers_are_kept_in_order() -> None:
    assert bytes([1, 4, 5, 6, 7, 12, 13, 14, 15]) == GAPPED.unpack(bytes(range(16))).rest


def test_fields_are_in_order_of_offset_however_they_were_given() -> None:
    assert ["a", "b", "c"] == list(GAPPED.fields)


@given(st.binary(max_size=40).filter(lambda data: len(data) != 16))
def test_another_length_is_a_format_error_with_an_offset(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        GAPPED.unpack(data)
    assert caught.value.offset is not None


def test_an_image_of_nothing_is_all_zero() -> None:
    assert bytes(16) == GAPPED.image().pack()


def test_a_value_too_wide_for_its_field_is_refused_by_name() -> None:
    with pytest.raises(ContextError) as caught:
        GAPPED.image({"b": 0x10000})
    assert ("b", 0x10000, "range") == (caught.value.field, caught.value.value, caught.value.rule)


def test_a_negative_value_is_refused_by_name() -> None:
    with pytest.raises(ContextError, match="b = -0x1"):
        GAPPED.image().with_values(b=-1)


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(ContextError, match="gapped has no field d"):
        GAPPED.image({"d": 1})


def test_more_uncovered_bytes_than_the_struct_has_are_refused() -> None:
    with pytest.raises(ContextError, match="9 bytes that no field covers, got 10"):
        GAPPED.image(rest=bytes(10))


@pytest.mark.parametrize("size", [0, 8, 10])
def test_an_image_whose_uncovered_bytes_are_not_all_there_is_not_packed(size: int) -> None:
    """It once made a struct of another length."""
    with pytest.raises(ContextError, match=f"9 bytes that no field covers, got {size}"):
        replace(GAPPED.image(), rest=bytes(size)).pack()


def test_replacing_a_value_leaves_the_first_image_as_it_was() -> None:
    first = GAPPED.image({"a": 1})
    second = first.with_values(a=2)
    assert (1, 2) == (first["a"], second["a"])


def test_a_sequence_places_fields_one_after_another() -> None:
    assert [Field("x", 8, 4), Field("y", 12, 4)] == sequence("x y", 4, 8)
