# SPDX-License-Identifier: MIT
"""The README quotes what the suites count, and a run of all of them fails where they count something else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest
from promises.totals import FILE, KINDS, WRITE, Sums, promised

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONFTEST = """
from pathlib import Path
import pytest
from promises import totals
from promises.conftest import count
def pytest_configure(config):
    totals.register(config, Path(__file__).parent)
"""
COUNTING = """
from promises.tally import Tally
from promises.verdicts import Verdict
def tally(number):
    found = Tally("faults")
    for _ in range(number):
        found.take("", lambda: Verdict.DONE)
    return found
def test_one(count):
    count("ours", tally(3))
"""
MORE = """
def test_two(count):
    count("ours", tally(4))
"""
LOSING = """
from promises.verdicts import Lost
def lose():
    raise Lost("all")
def test_two(count):
    found = tally(3)
    found.take("bad", lose)
    count("ours", found)
"""
WHOLE: Sums = {"ours": {"tests": 2, "faults": 7, "lost": 0}}


def sums(of: Sums) -> Dict[str, int]:
    """How many faults and kills all suites counted."""
    found = dict.fromkeys(KINDS.values(), 0)
    for counts in of.values():
        for unit, kind in KINDS.items():
            found[kind] += counts.get(unit, 0)
    return found


def test_nothing_was_lost() -> None:
    found = promised(Path(__file__).parent)
    assert {name: counts["lost"] for name, counts in found.items()} == dict.fromkeys(found, 0)


def test_the_readme_quotes_the_sums() -> None:
    section = re.search(r"^## Promises\n(.*?)(?=^## )", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert section, "no section `## Promises`"
    quotes = {kind: f"{number:,} {kind}" for kind, number in sums(promised(Path(__file__).parent)).items()}
    assert [quote for quote in quotes.values() if quote not in section[1]] == []
    rows = [row for row in section[1].splitlines() if any(quote in row for quote in quotes.values())]
    assert len(rows) == 2 and all(", 0 lost |" in row for row in rows)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder of two tests that count, and what they count."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_ours.py").write_text(COUNTING + MORE)
    (tmp_path / FILE).write_text(json.dumps(WHOLE))
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it as its own pytest."""
    path = os.pathsep.join([*filter(None, sys.path), str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments]
    return subprocess.run(
        [*command, *([] if any("::" in each for each in arguments) else ["."])], cwd=folder, text=True,
        stdout=subprocess.PIPE, env={**os.environ, WRITE: "", **environment, "PYTHONPATH": path},
    )


IN_PROCESSES = pytest.mark.parametrize("more", [
    pytest.param((), id="alone"),
    pytest.param(("-n", "2"), id="two", marks=pytest.mark.skipif(
        importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed"
    )),
])


@IN_PROCESSES
def test_a_run_of_all_tests_that_count_as_promised_is_fine(suite: Path, more: "tuple[str, ...]") -> None:
    ran = run(suite, *more)
    assert ran.returncode == 0 and "ours: 7 faults, 7 done, 0 lost\n" in ran.stdout, ran.stdout


@IN_PROCESSES
def test_a_test_that_was_deleted_fails_a_run_of_all(suite: Path, more: "tuple[str, ...]") -> None:
    (suite / "test_ours.py").write_text(COUNTING)
    ran = run(suite, *more)
    assert ran.returncode == 1 and "FAILED ours: counted {'tests': 1, 'faults': 3," in ran.stdout, ran.stdout


def test_a_suite_that_is_gone_fails_a_run_of_all(suite: Path) -> None:
    (suite / FILE).write_text(json.dumps({**WHOLE, "gone": WHOLE["ours"]}))
    ran = run(suite)
    assert ran.returncode == 1 and "FAILED gone: counted None" in ran.stdout, ran.stdout


@pytest.mark.parametrize("part", [("-k", "one"), ("test_ours.py::test_one",), ("--deselect", "test_ours.py::test_two")])
def test_a_run_of_some_tests_is_compared_with_nothing(suite: Path, part: "tuple[str, ...]") -> None:
    ran = run(suite, *part)
    assert ran.returncode == 0 and "ours: 3 faults, 3 done, 0 lost\n" in ran.stdout, ran.stdout


def test_what_was_lost_fails_its_test_and_is_counted(suite: Path) -> None:
    (suite / "test_ours.py").write_text(COUNTING + LOSING)
    ran = run(suite)
    assert ran.returncode == 1 and "1 of 4, first bad: all" in ran.stdout, ran.stdout
    assert "ours: 7 faults, 6 done, 1 lost\n" in ran.stdout


def test_the_counts_can_be_written(suite: Path) -> None:
    (suite / FILE).unlink()
    assert run(suite, **{WRITE: "write"}).returncode == 0
    assert promised(suite) == WHOLE
