# SPDX-License-Identifier: MIT
"""Packages that stages use are installed where that may be, and named where it may not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.lanes import machine
from tests.lanes.machine import Packages, absent
from tests.lanes.stage import Stage

pytestmark = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg on this machine")
NEEDY = Stage("needy", debian=("dpkg", "xenvcpu-none-such", "."))
PLAIN = Stage("plain", debian=("dpkg",))


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `apt-get` that notes what it is asked, once a file lets it go on; returns the folder of both."""
    program = tmp_path / "apt-get"
    program.write_text(f"#!/bin/sh\nwhile ! test -e {tmp_path}/go; do sleep 0.05; done\necho $* >>{tmp_path}/asked\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "_LOG", machine.ROOT / "build/stages/apt.test.log")
    return tmp_path


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_a_package_is_absent_unless_dpkg_has_it_installed() -> None:
    assert absent(["dpkg", "xenvcpu-none-such"]) == {"xenvcpu-none-such"}


def test_root_has_what_is_missing_installed_while_other_stages_run(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    packages = Packages([NEEDY, PLAIN])
    assert (packages.are_ready(PLAIN), packages.are_ready(NEEDY)) == (True, False)
    (apt / "go").touch()
    packages.wait()
    asked = (apt / "asked").read_text().splitlines()
    assert packages.are_ready(NEEDY) and [line.split()[0] for line in asked] == ["update", "install", "build-dep"]
    assert asked[1].endswith(" xenvcpu-none-such")


def test_nobody_else_has_anything_installed_and_the_command_is_named(
    apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 1000)
    packages = Packages([NEEDY])
    assert packages.are_ready(NEEDY) and not (apt / "asked").exists()
    command = "apt-get install --no-install-recommends xenvcpu-none-such && apt-get build-dep ."
    assert packages.lacking() == f"not installed: xenvcpu-none-such ({command})"


def test_a_machine_that_has_everything_is_asked_for_nothing(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    packages = Packages([PLAIN])
    assert (packages.are_ready(PLAIN), packages.command, packages.lacking()) == (True, "", "")
