# SPDX-License-Identifier: MIT
"""SIGKILL of real processes on a world file: the program, or its guard, at every step and at random instants."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest
from promises.conftest import Count
from promises.operations import CHANGES, FEW, Case, cases
from promises.processes import (
    DONE, Program, aftermath, guards_of, instants, locks_of, killing_itself, killing_the_guard, started, steps,
)
from promises.programs import before, done
from promises.verdicts import Ending, Verdict, judge, tally

from xenvcpu.model.faults import Killed

ONE_SECOND = 1.0
CASES = pytest.mark.parametrize("case", cases([CHANGES[1], CHANGES[3]], FEW[:1]), ids=str)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the worlds lie."""
    return tmp_path


class Toll:
    """What was found after each kill."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._verdicts: List[Verdict] = []
        self._slowest = 0.0

    def take(self, program: Program, name: str) -> None:
        """Look at what is left by a program that has ended."""
        found = aftermath(program)
        ending = Ending(before(self._case), done(self._case).world, found.world, Killed())
        assert found.seconds < ONE_SECOND, f"{name}: {found.seconds:.1f} s"
        self._verdicts.append(judge(ending, (Killed,)))
        self._slowest = max(self._slowest, found.seconds)

    @property
    def counts(self) -> Dict[str, int]:
        """For the line of the suite."""
        milliseconds = round(self._slowest * 1000)
        return {"kills": len(self._verdicts), **tally(self._verdicts), "lost": 0, "at most {} ms": milliseconds}


@CASES
def test_a_program_killed_at_any_step_leaves_a_running_guest(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for at, (when, name) in enumerate(steps(case, folder)):
        program = started(case, folder, killing_itself(at))
        assert program.end() == -signal.SIGKILL
        toll.take(program, f"killed {when} {name}")
    count("SIGKILL of the program", toll.counts)


@CASES
def test_a_program_killed_at_any_instant_leaves_a_running_guest(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for delay in instants(15, _length(case, folder), seed=len(str(case))):
        program = started(case, folder)
        program.wait_until_it_begins()
        time.sleep(delay)
        os.kill(program.pid, signal.SIGKILL)
        assert program.end() in (-signal.SIGKILL, DONE)
        toll.take(program, f"killed after {delay * 1000:.1f} ms")
    count("SIGKILL of the program", toll.counts)


@CASES
def test_a_guard_killed_at_any_step_leaves_it_to_the_program(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for at, (when, name) in enumerate(steps(case, folder)):
        if when == "before":
            program = started(case, folder, killing_the_guard(at))
            assert program.end() == DONE, f"guard killed before {name}"
            toll.take(program, f"guard killed before {name}")
    count("SIGKILL of the guard", toll.counts)


def _length(case: Case, folder: Path) -> float:
    """How long the operation takes, its guard's start included."""
    program = started(case, folder)
    program.wait_until_it_begins()
    began = time.monotonic()
    assert program.end() == DONE
    seconds = time.monotonic() - began
    assert list(locks_of(program).glob("*.lock")), "no lock where one is looked for"
    aftermath(program)
    return seconds


@pytest.fixture(autouse=True)
def _no_guard_is_left(folder: Path) -> Iterator[None]:
    yield
    assert not guards_of(folder)
