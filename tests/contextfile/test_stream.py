# SPDX-License-Identifier: MIT
"""A save stream printed as a file, and read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi import cpu_msr, cpu_record, save_stream
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.contextfile import source, stream
from xenvcpu.contextfile.writing import written
from xenvcpu.errors import ContextFileError

PAYLOADS = st.one_of(
    st.just(b""), st.binary(max_size=40), st.binary(min_size=1032, max_size=1032),
    st.binary(min_size=1024, max_size=1024), st.binary(min_size=24, max_size=24),
    st.dictionaries(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
    .map(lambda msrs: cpu_msr.encode(msrs.items())),
)
RECORDS = st.builds(Record, st.integers(1, 25) | st.integers(1, 0xFFFF), st.integers(0, 0xFFFF), PAYLOADS)


def read(text: str) -> bytes:
    return stream.to_bytes(source.parse(text))


@given(st.lists(RECORDS, max_size=5), st.binary(max_size=10), st.sampled_from(["toml", "json"]))
def test_any_stream_comes_back_byte_for_byte(records: list[Record], trailing: bytes, style: str) -> None:
    data = save_stream.join([*records, END]) + trailing
    assert data == read(written(stream.as_mapping(save_stream.split(data)), style))


def test_known_records_are_shown_by_field_and_others_as_they_are() -> None:
    cpu = cpu_record.LAYOUT.image({"rip": 0x1000})
    msrs = cpu_msr.encode([(0xC0000103, 7)])
    records = [
        save_stream.header(cpuid=0x663), Record(Typecode.CPU, 3, cpu.pack()), Record(Typecode.CPU_MSR, 3, msrs),
        Record(99, 1, b"\xab"), END,
    ]
    shown = json.loads(written(stream.as_mapping(save_stream.split(save_stream.join(records))), "json"))["records"]
    assert ("HEADER", "0x663") == (shown[0]["typecode"], shown[0]["cpuid"])
    assert ("CPU", "0x3", "0x1000") == (shown[1]["typecode"], shown[1]["instance"], shown[1]["rip"])
    assert {"0xc0000103": "0x7"} == shown[2]["msrs"]
    assert {"typecode": "0x63", "instance": "0x1", "payload": "ab"} == shown[3]
    assert {"typecode": "END", "instance": "0x0"} == shown[4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("eip = 1", "eip: no such key"),
        ("records = 1", "array"),
        ("[[records]]\ntypecode = 'CPUU'", r"records\[0\]: typecode"),
        ("[[records]]\ntypecode = 'CPU'\nrax = 1\npayload = '00'", r"records\[0\]: rax: stands beside"),
        ("[[records]]\ntypecode = 'HEADER'\n[[records]]\ntypecode = 'PIC'\nx = 1", r"records\[1\]: x: no such key"),
        ("[[records]]\ntypecode = 'HEADER'\nmagick = 1", "HEADER has no such field"),
        ("[[records]]\ntypecode = 'CPU'\nripp = 1", "did you mean rip"),
        ("[[records]]\ntypecode = 0x10000", "16 bits"),
        ("[[records]]\ninstance = 1", "typecode: is missing"),
        ("[[records]]\ntypecode = 99\npayload = 'xy'", "hex digits"),
    ],
)
def test_a_wrong_stream_file_is_refused_with_its_record(text: str, words: str) -> None:
    with pytest.raises(ContextFileError, match=words):
        read(text)
