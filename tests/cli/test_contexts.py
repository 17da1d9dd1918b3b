# SPDX-License-Identifier: MIT
"""`preset`, `encode` and `decode`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import END, Record
from xenvcpu.context.presets import PRESETS, flat32
from xenvcpu.contextfile import FORMATS, loads
from xenvcpu.encoding import to_cpu_record, to_vcpu_hvm_context

Run = Callable[..., Any]

STRUCTS = [
    ("vcpu_hvm_context", 128, [0, 1, 2, 0xFFFFFFFF]), ("cpu_record", 1032, [0]), ("cpu_record", 1024, [0]),
    ("draft2015", 216, [0, 1, 2, 3, 0xFFFFFFFF]),
]
SAMPLES = [
    pytest.param(name, mode.to_bytes(4, "little") + (bytes(range(256)) * 5)[: size - 4], id=f"{name}-{size}-{mode}")
    for name, size, modes in STRUCTS
    for mode in modes
]


def test_preset_lists_the_presets_with_who_uses_them(run: Run) -> None:
    assert [*PRESETS] == [line.split()[0] for line in run("preset").out.splitlines()[1:]]
    assert [*PRESETS] == [preset["name"] for preset in run("preset", "--json").json["presets"]]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_printed_as_a_context_file(run: Run, name: str) -> None:
    assert PRESETS[name]() == loads(run("preset", name).out).render(1)
    assert PRESETS[name]() == loads(run("preset", name, "--json").out).render(1)


def test_a_line_may_be_added_to_a_printed_preset(run: Run) -> None:
    text = run("preset", "flat32").out + 'esp = "0x80000 + 0x1000 * vcpuid"\n'
    assert flat32(esp=0x82000) == loads(text).render(2)


@pytest.mark.parametrize(("name", "raw"), SAMPLES)
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["toml", "json"])
def test_what_decode_prints_encode_takes_back_byte_for_byte(run: Run, name: str, raw: bytes, option: list[str]) -> None:
    printed = run("decode", "-", "--as", name, *option, stdin=raw)
    assert raw == run("encode", "-", "--as", name, stdin=printed.out).raw


def test_a_save_stream_comes_back_byte_for_byte(run: Run) -> None:
    cpu = to_cpu_record(flat32()).pack()
    raw = save_stream.join([save_stream.header(), Record(2, 0, cpu), Record(77, 5, b"abc"), END])
    printed = run("decode", "-", "--as", "save_stream", "--json", stdin=raw)
    assert ["HEADER", "CPU", "0x4d", "END"] == [record["typecode"] for record in printed.json["records"]]
    assert raw == run("encode", "-", "--as", "save_stream", stdin=printed.out).raw


def test_a_save_stream_is_not_made_from_one_context(run: Run) -> None:
    ran = run("encode", "-", "--as", "save_stream", stdin='preset = "flat32"')
    assert (1, True) == (ran.code, "would stop the others" in ran.err)


def test_a_context_is_encoded_for_the_vcpu_that_is_named(run: Run) -> None:
    text = 'preset = "flat32"\nesp = "0x1000 * vcpuid"'
    ran = run("encode", "-", "--as", "vcpu_hvm_context", "--vcpu", "3", "--set", "eip=0x10", stdin=text)
    assert to_vcpu_hvm_context(flat32(0x10, 0x3000)).pack() == ran.raw


@pytest.mark.parametrize("name", FORMATS)
def test_a_struct_is_converted_to_another(run: Run, name: str) -> None:
    printed = run("encode", "preset:flat32", "--as", name, "--set", "eip=0x10").raw
    shown = run("decode", "-", "--as", name, stdin=printed).out
    # The draft has no EFLAGS: the bit that is always set comes with it, and flat32 has that.
    assert to_vcpu_hvm_context(flat32(0x10)).pack() == run("encode", "-", "--as", "vcpu_hvm_context", stdin=shown).raw


def test_encode_writes_a_file_or_says_the_bytes_in_json(run: Run, tmp_path: Path) -> None:
    expected, path = to_vcpu_hvm_context(flat32()).pack(), tmp_path / "context.bin"
    assert 0 == run("encode", "preset:flat32", "--as", "vcpu_hvm_context", "-o", path).code
    assert expected == path.read_bytes()
    said = run("encode", "preset:flat32", "--as", "vcpu_hvm_context", "--json").json
    assert (1, 128, expected.hex()) == (said["schema"], said["size"], said["bytes"])


@pytest.mark.parametrize(
    ("form", "setting", "field"),
    [
        ("vcpu_hvm_context", "r8=1", "r8"), ("cpu_record", "msrs.0x10=1", "msrs.0x10"),
        ("draft2015", "gs_base=1", "gs_base"),
    ],
)
def test_a_field_that_a_struct_cannot_carry_is_named(run: Run, form: str, setting: str, field: str) -> None:
    ran = run("--json", "encode", "preset:flat32", "--as", form, "--set", setting)
    error = json.loads(ran.err)["error"]
    assert (3, field, "0x1", 3) == (ran.code, error["field"], error["value"], error["exit"])


def test_bytes_of_another_length_are_refused(run: Run) -> None:
    ran = run("decode", "-", "--as", "vcpu_hvm_context", stdin=b"\0" * 127)
    assert (1, True) == (ran.code, "128 bytes, got 127" in ran.err)


def test_a_preset_that_is_given_as_a_file_is_explained(run: Run) -> None:
    assert "preset:flat32" in run("encode", "flat32", "--as", "cpu_record").err


def test_a_preset_keeps_an_expression_that_is_for_every_vcpu(run: Run) -> None:
    line = ("preset", "flat32", "--set", "eip=0x100000", "--set", "esp=0x80000 + 0x1000 * vcpuid")
    assert 'esp = "0x80000 + 0x1000 * vcpuid"' in run(*line).out
    assert run(*line, "--json").json["esp"] == "0x80000 + 0x1000 * vcpuid"
    assert "esp = 0x82000\n" in run(*line, "--vcpu", "2").out


def test_a_preset_keeps_no_expression_under_a_name_that_it_does_not_write(run: Run) -> None:
    ran = run("preset", "long64", "--set", "msrs.0xc0000103=vcpuid")
    assert ran.code == 2 and "--vcpu" in ran.err
