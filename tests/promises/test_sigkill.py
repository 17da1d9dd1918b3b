# SPDX-License-Identifier: MIT
"""SIGKILL of real processes on a world file: the program, or its guard, at every step and at random instants."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Iterator

import pytest
from promises.conftest import Count
from promises.operations import CHANGES, FEW, Case, cases
from promises.processes import (
    DONE, Aftermath, Program, aftermath, guards_of, instants, killing_itself, killing_the_guard, locks_of, started,
    steps,
)
from promises.programs import before, done
from promises.tally import Tally
from promises.verdicts import Ending, Lost, Verdict, judge

from xenvcpu.model.faults import Killed

ONE_SECOND = 1.0
CASES = pytest.mark.parametrize("case", cases([CHANGES[1], CHANGES[3]], FEW[:1]), ids=str)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the worlds lie."""
    return tmp_path


class Toll(Tally):
    """What was found after each kill."""

    def __init__(self, case: Case) -> None:
        super().__init__("SIGKILLs")
        self._case = case

    def look(self, program: Program, name: str) -> None:
        """Look at what is left by a program that has ended."""
        self.take(name, lambda: self._judged(program))

    def _judged(self, program: Program) -> Verdict:
        found = aftermath(program)
        self.took(round(found.seconds * 1000))
        if found.seconds >= ONE_SECOND:
            raise Lost(f"{found.seconds:.1f} s until all had ended")
        return judge(Ending(before(self._case), done(self._case).world, found.world, Killed()), (Killed,))


def test_a_guest_that_takes_too_long_or_is_another_is_counted_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = cases(CHANGES[1:2], FEW[:1])
    found = [Aftermath(before(case), 0.5), Aftermath(before(case), 1.0), Aftermath({}, 0.5)]
    monkeypatch.setattr(f"{__name__}.aftermath", lambda program: found.pop(0))
    toll = Toll(case)
    for name in ("good", "late", "spoilt"):
        toll.look(Program(0, Path(), 0), name)
    assert toll.counts == {"SIGKILLs": 3, "restored": 1, "lost": 2, "at most {} ms": 1000}
    assert [line.partition(":")[0] for line in toll.lost] == ["late", "spoilt"]


@CASES
def test_a_program_killed_at_any_step_leaves_a_running_guest(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for at, (when, name) in enumerate(steps(case, folder)):
        program = started(case, folder, killing_itself(at))
        assert program.end() == -signal.SIGKILL
        toll.look(program, f"killed {when} {name}")
    count("SIGKILL of the program", toll)


@CASES
def test_a_program_killed_at_any_instant_leaves_a_running_guest(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for delay in instants(15, _length(case, folder), seed=len(str(case))):
        program = started(case, folder)
        program.wait_until_it_begins()
        time.sleep(delay)
        os.kill(program.pid, signal.SIGKILL)
        assert program.end() in (-signal.SIGKILL, DONE)
        toll.look(program, f"killed after {delay * 1000:.1f} ms")
    count("SIGKILL of the program", toll)


@CASES
def test_a_guard_killed_at_any_step_leaves_it_to_the_program(case: Case, folder: Path, count: Count) -> None:
    toll = Toll(case)
    for at, (when, name) in enumerate(steps(case, folder)):
        if when == "before":
            program = started(case, folder, killing_the_guard(at))
            assert program.end() == DONE, f"guard killed before {name}"
            toll.look(program, f"guard killed before {name}")
    count("SIGKILL of the guard", toll)


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
