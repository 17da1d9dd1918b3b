# SPDX-License-Identifier: MIT
"""Each value that is shown is the one of its name: every field has a value of its own here."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Callable

import pytest

from xenvcpu.abi import cpu_record
from xenvcpu.cli.commands.list import HEADINGS
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.vcpustate import VcpuState

Run = Callable[..., Any]

FIELDS = {name: 0x100 + number for number, name in enumerate(cpu_record.LAYOUT.fields)}
RECORD = cpu_record.LAYOUT.image(FIELDS)
HIDDEN = {"msr_flags", "pad0"}
"""Not shown as text: Xen makes nothing of them."""
COLUMNS = {"sel": 1, "base": 2, "limit": 3, "arbytes": 4}


@pytest.fixture
def shown(run: Run, world: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What `show` prints of RECORD."""
    monkeypatch.setattr(Dom0Domain, "record", lambda domain, vcpuid: RECORD)
    return lambda *options: run("--host", world, "show", "web", "0", *options)


def test_show_prints_each_register_under_its_name(shown: Callable[..., Any]) -> None:
    registers, segments = shown().out.split("\nsegment ")
    found = {name: int(value, 16) for name, value in re.findall(r"(\w+) +([0-9a-f]{8,16})\b", registers)}
    for name, *cells in (line.split() for line in segments.splitlines()[1:]):
        kinds = COLUMNS if len(cells) == len(COLUMNS) else ("base", "limit")
        found.update({f"{name}_{kind}": int(cell, 16) for kind, cell in zip(kinds, cells)})
    assert found == {name: value for name, value in FIELDS.items() if name not in HIDDEN}


def test_show_heads_each_column_of_the_segments_with_what_is_in_it(shown: Callable[..., Any]) -> None:
    heads = shown().out.split("\nsegment ")[1].splitlines()[0].split()
    assert heads == [{"arbytes": "attributes"}.get(name, name) for name in COLUMNS]


def test_show_as_json_has_each_field_under_its_name(shown: Callable[..., Any]) -> None:
    told = shown("--json").json
    assert {name: int(told[name], 16) for name in FIELDS} == FIELDS


VCPU = VcpuState(0, True, False, "blocked", mode="pae32", rip=0xABC, cpu=7, cpu_time=5_500_000_000)
CELLS = {
    "NAME": "web", "ID": "1", "VCPU": "0", "CPU": "7", "STATE": "-b-", "TIME(S)": "5.5", "INIT": "no", "MODE": "pae32",
    "RIP": "0xabc",
}
KEYS = {
    "vcpuid": 0, "online": True, "initialised": False, "state": "blocked", "mode": "pae32", "rip": "0xabc", "cpu": 7,
    "cpu_time": 5_500_000_000,
}


def test_list_prints_each_value_below_its_heading(run: Run, world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dom0Domain, "vcpus", lambda domain: (VCPU,))
    heads, cells = (line.split() for line in run("--host", world, "list").out.splitlines())
    assert dict(zip(heads, cells)) == CELLS and tuple(heads) == HEADINGS
    (domain,) = run("--host", world, "list", "--json").json["domains"]
    assert domain["vcpus"] == [KEYS] and len(KEYS) == len(fields(VcpuState))
    assert (domain["name"], domain["domid"], domain["paused"]) == ("web", 1, False)
