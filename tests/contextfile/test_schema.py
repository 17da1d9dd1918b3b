# SPDX-License-Identifier: MIT
"""The JSON Schema that ships says what the reader says."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from xenvcpu.context.presets import PRESETS
from xenvcpu.contextfile import FORMATS, dump, from_mapping, schema
from xenvcpu.errors import ContextFileError

jsonschema = pytest.importorskip("jsonschema")

GOOD: list[dict[str, Any]] = [
    {"eip": 0}, {"preset": "flat32", "eip": 1}, {"mode": "64B", "rip": "vcpuid << 60", "gs_base": (1 << 64) - 1},
    {"schema": 1, "description": "x", "msrs": {"0xc0000081": "0x1"}, "cs_arbytes": 3}, {"fpu_regs": "00" * 512},
    {"format": "cpu_record", "length": 1024, "rax": 1}, {"format": "vcpu_hvm_context", "mode": 7, "pad2[0]": 1},
    {"format": "vcpu_hvm_context", "mode": "64B", "rip": 1, "rest": "00" * 8},
]
BAD: list[dict[str, Any]] = [
    {}, {"mode": "64B"}, {"schema": 1, "description": "x"},
    {"rip": 1}, {"mode": "64B", "eip": 1}, {"eipp": 1}, {"preset": "flat23"}, {"eip": 1 << 32}, {"eip": -1},
    {"eip": 1.5}, {"eip": "2 +* a"}, {"eip": True}, {"schema": 2}, {"format": "x"},
    {"format": "cpu_record", "cs_ar": 1},
    {"msrs": 3}, {"fpu_regs": "00"}, {"preset": "flat32", "mode": "64B"}, {"format": "cpu_record", "preset": "flat32"},
    {"eip": "1" * 300}, {"description": 3},
]


def shipped() -> str:
    return resources.files("xenvcpu.contextfile").joinpath("schema.json").read_text()


@pytest.fixture(scope="module")
def validator() -> Any:
    document = json.loads(shipped())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def test_the_schema_that_ships_is_up_to_date() -> None:
    assert schema.text() == shipped()


@pytest.mark.parametrize("data", GOOD)
def test_schema_and_reader_accept(validator: Any, data: dict[str, Any]) -> None:
    from_mapping(data)
    assert [] == [error.message for error in validator.iter_errors(data)]


@pytest.mark.parametrize("data", BAD)
def test_schema_and_reader_refuse(validator: Any, data: dict[str, Any]) -> None:
    with pytest.raises(ContextFileError):
        from_mapping(data)
    assert not validator.is_valid(data)


@pytest.mark.parametrize("name", PRESETS)
def test_what_we_print_for_a_preset_is_valid(validator: Any, name: str) -> None:
    assert validator.is_valid(json.loads(dump(PRESETS[name](), "json")))


@pytest.mark.parametrize("name", FORMATS)
def test_what_we_print_for_bytes_is_valid(validator: Any, name: str) -> None:
    form = FORMATS[name]
    for size in form.sizes:
        for mode in (*form.modes, 99) if form.modes else (0,):
            image = form.decode(mode.to_bytes(4, "little") + b"\xff" * (size - 4))
            assert validator.is_valid(json.loads(dump(image, "json")))
