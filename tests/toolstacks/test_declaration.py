# SPDX-License-Identifier: MIT
"""How a domain's vcpus are declared to start."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu import vcpuset
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import ContextError, ContextFileError
from xenvcpu.toolstacks import declaration
from xenvcpu.toolstacks.declaration import MAX_SIZE, Declaration, DeclarationError

JSON_CONTEXT = json.dumps({"preset": "flat32", "eip": "0x100000"})
FULL = {"vcpus": "1,3", "reset": True, "context": {"preset": "flat32"}, "settings": {"eip": 0x2000, "esp": "vcpuid"}}


def rendered(found: Declaration, vcpuid: int = 1) -> VcpuContext:
    context = found.template.render(vcpuid)
    assert isinstance(context, VcpuContext)
    return context


def test_every_key_is_read() -> None:
    found = declaration.from_mapping(FULL)
    assert (found.vcpus, found.reset) == ("1,3", True)
    assert (rendered(found, 3).rip, rendered(found, 3).rsp) == (0x2000, 3)


def test_a_context_file_declares_every_vcpu() -> None:
    found = declaration.parse(JSON_CONTEXT)
    assert (found.vcpus, found.reset, found.context) == ("all", False, JSON_CONTEXT)


def test_a_context_given_as_text_is_kept_to_the_letter() -> None:
    assert declaration.from_mapping({"context": JSON_CONTEXT}).context == JSON_CONTEXT


def test_toml_is_read_with_a_table_of_the_context() -> None:
    pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    found = declaration.parse('vcpus = "2"\n[context]\npreset = "long64"\nrip = 0xffffffff80001000\n')
    assert rendered(found).rip == 0xFFFFFFFF80001000


def test_a_number_is_a_set_of_one_vcpu() -> None:
    assert declaration.from_mapping({"vcpus": 2, "context": JSON_CONTEXT}).vcpuids(4) == (2,)


@given(
    st.one_of(st.just("all"), st.sets(st.integers(1, 60), min_size=1).map(vcpuset.show)), st.booleans(),
    st.dictionaries(st.sampled_from(["eip", "esp", "eax"]), st.sampled_from(["7", "vcpuid", "0x10 * vcpuid"])),
)
def test_what_is_written_is_read_again(vcpus: str, reset: bool, settings: dict[str, str]) -> None:
    made = Declaration(JSON_CONTEXT, vcpus, settings, reset)
    assert declaration.parse(json.dumps(made.as_dict())) == made


@pytest.mark.parametrize(("vcpus", "expected"), [("all", (1, 2, 3)), ("1-2", (1, 2)), ("1,3", (1, 3))])
def test_all_is_every_vcpu_but_the_boot_vcpu(vcpus: str, expected: tuple[int, ...]) -> None:
    assert Declaration(JSON_CONTEXT, vcpus).vcpuids(4) == expected


def test_a_vcpu_that_the_domain_lacks_is_named() -> None:
    with pytest.raises(DeclarationError, match="vcpus 0 to 3, not 4"):
        Declaration(JSON_CONTEXT, "1-4").vcpuids(4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vcpus": "3-1"}, "vcpus: 3-1 counts down"),
        ({"vcpus": "0-3"}, "vcpu 0 is the boot vcpu"),
        ({"vcpus": 0}, "vcpu 0 is the boot vcpu"),
        ({"vcpus": [1]}, r"vcpus: \[1\] is not a set"),
        ({"vcpus": None}, "vcpus: None is not a set"),
        ({"vcpus": True}, "vcpus: True is not a set"),
        ({"reset": 1}, "reset: 1 is not true or false"),
        ({"reset": "yes"}, "reset: 'yes' is not true or false"),
        ({"settings": ["eip=1"]}, "settings: .* is not a table"),
        ({"settings": {"eip": 1.5}}, "settings.eip: 1.5 is not a number"),
        ({"settings": {"eip": True}}, "settings.eip: True is not a number"),
        ({"settings": {"rip": "1"}}, "^web.json: settings.rip: no such key"),
        ({"context": 7}, "context: 7 is not a table or a text"),
        ({"context": None}, "context: None is not a table or a text"),
        ({"context": {"preset": "flat23"}}, "did you mean flat32"),
        ({"context": "{"}, "not JSON"),
        ({"vcpu": "1"}, "did you mean vcpus"),
        ({"schema": 2}, "schema: 2 is not known"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ContextFileError, match=said):
        declaration.from_mapping({**FULL, **change}, "web.json")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps({**FULL, "vcpus": "x"}))
    with pytest.raises(DeclarationError, match=f"^{path}: vcpus: 'x' is not a set"):
        declaration.read(path)


def test_a_text_too_large_to_keep_is_refused() -> None:
    with pytest.raises(DeclarationError, match="larger than"):
        declaration.parse(JSON_CONTEXT + " " * MAX_SIZE)
    with pytest.raises(DeclarationError, match="too large"):
        Declaration(JSON_CONTEXT, settings={"eip": "1" * MAX_SIZE})


def test_a_very_long_set_of_vcpus_is_refused_before_it_is_read() -> None:
    with pytest.raises(ContextError, match="are no set of vcpus"):
        vcpuset.parse("1," * 100000 + "1")


def test_a_command_line_gives_parts_of_it_anew() -> None:
    found = declaration.override(declaration.from_mapping(FULL), "2", {"eip": "0x3000"})
    assert (found.vcpus, found.reset, rendered(found, 2).rip, rendered(found, 2).rsp) == ("2", True, 0x3000, 2)
