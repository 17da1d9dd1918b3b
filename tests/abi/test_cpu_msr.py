# SPDX-License-Identifier: MIT
"""The CPU_MSR record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi import cpu_msr
from xenvcpu.errors import ContextError, FormatError

PAIRS = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)), max_size=6).map(tuple)
GOLDEN = bytes.fromhex("0100000000000000 030100c000000000 8877665544332211")


@given(PAIRS)
def test_what_is_written_is_read_back(pairs: tuple[tuple[int, int], ...]) -> None:
    assert pairs == cpu_msr.decode(cpu_msr.encode(pairs))


def test_one_msr_is_written_as_xen_writes_it() -> None:
    assert GOLDEN == cpu_msr.encode([(0xC0000103, 0x1122334455667788)])


def test_the_padding_behind_the_count_may_hold_anything() -> None:
    """Xen saves into memory that it has not cleared."""
    assert cpu_msr.decode(GOLDEN) == cpu_msr.decode(GOLDEN[:4] + b"junk" + GOLDEN[8:])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_format_error_with_an_offset(payload: bytes) -> None:
    try:
        pairs = cpu_msr.decode(payload)
    except FormatError as error:
        assert error.offset is not None and 0 <= error.offset <= len(payload)
    else:
        assert payload[8:] == cpu_msr.encode(pairs)[8:]


@given(PAIRS.filter(bool), st.data())
def test_a_record_cut_anywhere_is_a_format_error(pairs: tuple[tuple[int, int], ...], data: st.DataObject) -> None:
    whole = cpu_msr.encode(pairs)
    with pytest.raises(FormatError):
        cpu_msr.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_reserved_field_that_is_not_zero_is_told_with_its_offset() -> None:
    with pytest.raises(FormatError, match="0xc0000103") as caught:
        cpu_msr.decode(GOLDEN[:12] + b"\1\0\0\0" + GOLDEN[16:])
    assert 12 == caught.value.offset


@pytest.mark.parametrize("size", [0, 7])
def test_a_record_shorter_than_its_head_is_told_with_its_length(size: int) -> None:
    with pytest.raises(FormatError, match=f"at least 8 bytes, got {size}") as caught:
        cpu_msr.decode(bytes(size))
    assert size == caught.value.offset


@pytest.mark.parametrize("size", [8, 23, 25])
def test_a_record_of_another_length_than_that_of_its_msrs_is_told(size: int) -> None:
    with pytest.raises(FormatError, match=f"count 1 has 24 bytes, got {size}") as caught:
        cpu_msr.decode(GOLDEN.ljust(size, b"\0")[:size])
    assert min(size, 24) == caught.value.offset


def test_a_record_of_no_msrs_is_empty() -> None:
    assert () == cpu_msr.decode(bytes(8))


@pytest.mark.parametrize("pair", [(1 << 32, 0), (0, 1 << 64), (-1, 0)])
def test_an_msr_that_does_not_fit_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ContextError):
        cpu_msr.encode([pair])
