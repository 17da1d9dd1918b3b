# SPDX-License-Identifier: MIT
"""`--force` accepts nothing: it tells which option does."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

Run = Callable[..., Any]
START = ("start", "web", "1", "preset:flat32", "--set", "eip=0x100000", "--set", "esp=0x80000")


def test_force_lists_what_the_start_is_refused_for_and_does_nothing(run: Run, world: str) -> None:
    ran = run("--host", world, *START, "--set", "cr4=0x8000", "--force")
    assert ran.code == 2 and "  --ignore-rules cr4-bit: vcpu 1: cr4 = 0x8000" in ran.err
    assert [each["online"] for each in run("--host", world, "list", "web", "--json").json["domains"][0]["vcpus"]] == [
        True, False, False, False,
    ]


def test_force_where_nothing_refuses_is_to_be_left_out(run: Run, world: str) -> None:
    ran = run("--host", world, *START, "--force")
    assert ran.code == 2 and "leave it out" in ran.err


def test_force_inside_a_guest_lists_the_rules(run: Run, world: str) -> None:
    ran = run("--host", f"{world}@web", "start", "self", "1", "preset:flat32", "--set", "cs_ar=0", "--force")
    assert ran.code == 2 and "null-segment: vcpu 1: cs_ar = 0x0" in ran.err


@pytest.mark.parametrize("command, option", [
    (("stop", "web", "0"), "--allow-last"), (("recover",), "--allow-unseen"),
    (("libvirt", "set", "web", "x.toml"), "--ignore-rules"), (("libvirt", "start", "web"), "--allow-firmware"),
    (("xl", "create", "web.cfg", "preset:flat32"), "--allow-firmware"),
])
def test_force_names_the_options_that_there_are(run: Run, world: str, command: tuple[str, ...], option: str) -> None:
    ran = run("--host", world, *command, "--force")
    assert ran.code == 2 and f"  {option}: " in ran.err


def test_force_as_json_is_a_usage_error_with_the_same_words(run: Run, world: str) -> None:
    ran = run("--host", world, "--json", *START, "--set", "cr4=0x8000", "--force")
    assert ran.code == 2 and ran.out == "" and "--ignore-rules cr4-bit" in json.loads(ran.err)["error"]["message"]


@pytest.mark.parametrize("vendor", ["intel", "amd"])
def test_no_option_lets_through_what_takes_the_host_down(run: Run, world: str, vendor: str) -> None:
    options = ("--ignore-rules", "all", "--allow-device-access-loss", "--allow-unbuilt")
    ran = run("--host", world, *START, "--set", "msr_lstar=1 << 63", "--vendor", vendor, *options)
    assert ran.code == 3 and "the whole host goes down" in ran.err
    assert run("--host", world, *START, "--set", "msr_lstar=1 << 63", "--force").code == 3


@pytest.mark.parametrize("rules", ["cr4-bits", "", "cr4-bit,,", "--force"])
def test_a_rule_that_there_is_not_is_a_usage_error(run: Run, world: str, rules: str) -> None:
    ran = run("--host", world, *START, f"--ignore-rules={rules}")
    assert ran.code == 2 and "no rule" in ran.err
