# SPDX-License-Identifier: MIT
"""The save stream: taken apart and put together without losing a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.errors import ContextError, FormatError

RECORDS = st.lists(
    st.builds(Record, st.integers(1, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=8
)
GOLDEN_HEADER = bytes.fromhex("0100 0000 18000000 86123854 01000000 ffffffffffffffff 63060000 40420f00")


@given(RECORDS, st.binary(max_size=20))
def test_any_stream_comes_back_byte_for_byte(records: list[Record], trailing: bytes) -> None:
    data = save_stream.join([*records, END]) + trailing
    stream = save_stream.split(data)
    assert ((*records, END), trailing) == (stream.records, stream.trailing)
    assert data == save_stream.join(stream.records) + stream.trailing


@given(RECORDS, st.data())
def test_a_stream_cut_anywhere_is_a_format_error_with_an_offset(records: list[Record], data: st.DataObject) -> None:
    whole = save_stream.join([*records, END])
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(FormatError) as caught:
        save_stream.split(cut)
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(cut)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_stream_or_a_format_error(data: bytes) -> None:
    try:
        stream = save_stream.split(data)
    except FormatError as error:
        assert error.offset is not None
    else:
        assert data == save_stream.join(stream.records) + stream.trailing


def test_a_header_is_written_as_xen_writes_it() -> None:
    header = save_stream.header(changeset=2**64 - 1, cpuid=0x663, gtsc_khz=1_000_000)
    assert GOLDEN_HEADER == save_stream.join([header])


def test_a_header_of_nothing_has_only_the_magic_and_the_version() -> None:
    assert GOLDEN_HEADER[:16] + bytes(16) == save_stream.join([save_stream.header()])


def test_a_header_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(ContextError) as caught:
        save_stream.header(cpuid=1 << 32)
    assert "cpuid" == caught.value.field


def test_a_record_of_an_unknown_type_survives_and_is_shown_by_number() -> None:
    record = Record(0x1234, 7, b"\xaa\xbb")
    found = save_stream.split(save_stream.join([record, END])).records[0]
    assert (record, "4660") == (found, found.name)


def test_a_known_record_has_its_name() -> None:
    assert "CPU_XSAVE" == Record(16, 0, b"").name


def test_a_cut_descriptor_is_told_with_its_offset() -> None:
    with pytest.raises(FormatError, match="descriptor is cut off") as caught:
        save_stream.split(GOLDEN_HEADER + b"\0\0\0\0")
    assert len(GOLDEN_HEADER) == caught.value.offset


def test_a_payload_that_overruns_is_told_with_record_and_lengths() -> None:
    with pytest.raises(FormatError, match=r"typecode 1, instance 0\) has 24 bytes, 23 are left") as caught:
        save_stream.split(GOLDEN_HEADER[:-1])
    assert 0 == caught.value.offset


def test_a_stream_of_empty_records_without_number_is_told() -> None:
    endless = save_stream.join([Record(Typecode.PIC, 0, b"")] * (save_stream.MAX_RECORDS + 1))
    with pytest.raises(FormatError, match="more than 65536 records") as caught:
        save_stream.split(endless)
    assert save_stream.MAX_RECORDS * 8 == caught.value.offset


def test_a_stream_without_end_is_told() -> None:
    with pytest.raises(FormatError, match="no END"):
        save_stream.split(GOLDEN_HEADER)


def test_walking_yields_what_comes_before_the_fault() -> None:
    """As Xen up to 4.18 loads it: the first records are applied, then the load fails."""
    walked = save_stream.walk(GOLDEN_HEADER + b"\2")
    assert (0, save_stream.split(GOLDEN_HEADER + bytes(8)).records[0]) == next(walked)
    with pytest.raises(FormatError):
        next(walked)


def test_joining_adds_nothing() -> None:
    assert b"" == save_stream.join([])


@pytest.mark.parametrize("record", [Record(0x10000, 0, b""), Record(1, 0x10000, b""), Record(-1, 0, b"")])
def test_a_record_that_no_descriptor_can_name_is_a_format_error(record: Record) -> None:
    with pytest.raises(FormatError, match="record"):
        save_stream.join([record])


def test_records_are_found_by_type_and_instance() -> None:
    records = [Record(Typecode.CPU, 0, b"a"), Record(Typecode.CPU, 1, b"b"), Record(Typecode.MTRR, 1, b"c")]
    assert b"b" == save_stream.find(records, Typecode.CPU, 1).payload  # type: ignore[union-attr]
    assert save_stream.find(records, Typecode.MTRR) is None
    assert {0: records[0], 1: records[1]} == save_stream.by_vcpu(records, Typecode.CPU)


def test_of_two_records_for_one_vcpu_the_last_wins_as_in_a_load() -> None:
    records = [Record(Typecode.CPU, 0, b"first"), Record(Typecode.CPU, 0, b"last")]
    assert records[1] == save_stream.find(records, Typecode.CPU)
