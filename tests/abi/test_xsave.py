# SPDX-License-Identifier: MIT
"""The CPU_XSAVE record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import blobs
from xenvcpu.abi import xsave
from xenvcpu.errors import FormatError

AVX = xsave.layout(xsave.SIZE_MIN + 256).image({"xcr0": 7, xsave.XSTATE_BV: 7})


@given(st.integers(xsave.SIZE_MIN, 3000).flatmap(blobs))
def test_a_record_of_any_length_comes_back_byte_for_byte(payload: bytes) -> None:
    assert payload == xsave.decode(payload).pack()


@pytest.mark.parametrize("size", [0, 23, xsave.SIZE_MIN - 1])
def test_a_record_without_its_header_is_a_format_error(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        xsave.decode(bytes(size))
    assert size == caught.value.offset


def test_the_fields_lie_as_in_the_manuals() -> None:
    payload = AVX.pack()
    assert [7, 7] == [payload[offset] for offset in (8, 24 + 512)]


def test_components_are_named_and_unknown_ones_numbered() -> None:
    assert ("x87", "ymm", "63") == xsave.components(1 << 63 | 5)


def test_the_shortest_record_has_the_fxsave_image_and_the_header_alone() -> None:
    assert bytes(600) == xsave.decode(bytes(600)).pack()
