# SPDX-License-Identifier: MIT
"""The program, or its guard, is killed before and after every call and every write."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
from promises.conftest import Count
from promises.guarded import GuardedRun, Trouble, guarded_run
from promises.injections import sites
from promises.operations import CHANGES, FEW, RARE, Case, cases
from promises.sweeps import Scene, sweep
from promises.threads import Guard, MortalJournal

from xenvcpu.context.presets import long64
from xenvcpu.encoding import to_cpu_record
from xenvcpu.errors import HypercallError
from xenvcpu.model.faults import Killed
from xenvcpu.model.libraries import ModelLibraries

pytestmark = pytest.mark.usefixtures("no_sleep")
WITH_A_GUARD = pytest.mark.parametrize("case", [*cases(CHANGES, FEW), *RARE], ids=str)
WHEN = ("before", "after")


def _of_program(run: GuardedRun, pauses: "int | None" = None) -> Iterator[Scene]:
    """The program is killed at each of its calls, and at each of its writes to the journal."""
    for when in WHEN:
        for at, call in enumerate(run.calls, 1):
            if call.name == "xtl_logger_destroy":
                continue  # the garbage collector calls it, and lets no exception out
            trouble = Trouble(program=lambda libraries, at=at, when=when: libraries.kill(at, when), pauses=pauses)
            yield Scene(f"killed {when} {call.name}, call {at}", trouble, (Killed,))
        for at in range(1, run.written + 1):

            def arm(guard: Guard, journal: MortalJournal, at: int = at, when: str = when) -> None:
                journal.dies_at = at, when == "after"

            yield Scene(f"killed {when} write {at}", Trouble(guard=arm, pauses=pauses), (Killed,))


def _of_guard(run: GuardedRun, pauses: "int | None" = None) -> Iterator[Scene]:
    """The guard is killed at each of its calls, and at each of its writes; the program goes on."""
    guard = run.guards[0]
    for when in WHEN:
        for at, call in enumerate(guard.libraries.calls, 1):
            if call.name == "xtl_logger_destroy":
                continue  # by then it has nothing any more

            def arm(guard: Guard, journal: MortalJournal, at: int = at, when: str = when) -> None:
                guard.libraries.kill(at, when)

            yield Scene(f"guard killed {when} {call.name}, call {at}", Trouble(guard=arm, pauses=pauses))
        for at in range(1, guard.journal.written + 1):

            def arm_write(guard: Guard, journal: MortalJournal, at: int = at, when: str = when) -> None:
                guard.journal.dies_at = at, when == "after"

            yield Scene(f"guard killed {when} write {at}", Trouble(guard=arm_write, pauses=pauses))


@WITH_A_GUARD
def test_a_program_that_is_killed_leaves_a_domain_that_runs_as_before(case: Case, tmp_path: Path, count: Count) -> None:
    scenes = _of_program(guarded_run(case, tmp_path))
    count("kills of the program", sweep(case, tmp_path, scenes, what="kills", may_be_killed=True))


@WITH_A_GUARD
def test_a_guard_that_is_killed_leaves_it_to_the_program(case: Case, tmp_path: Path, count: Count) -> None:
    scenes = _of_guard(guarded_run(case, tmp_path))
    count("kills of the guard", sweep(case, tmp_path, scenes, what="kills"))


@pytest.mark.parametrize("pauses", [1, 2])
@pytest.mark.parametrize("case", cases(CHANGES[1:2], FEW[:1]), ids=str)
def test_pauses_of_others_are_left_alone(case: Case, pauses: int, tmp_path: Path, count: Count) -> None:
    run = guarded_run(case, tmp_path)
    program = sweep(case, tmp_path, _of_program(run, pauses), what="kills", may_be_killed=True)
    guard = sweep(case, tmp_path, _of_guard(run, pauses), what="kills")
    count("kills while others hold a pause", program)
    count("kills while others hold a pause", guard)


@WITH_A_GUARD
def test_a_guard_that_puts_back_after_a_kill_tries_again_what_fails(case: Case, tmp_path: Path, count: Count) -> None:
    """A fault at each call that the guard makes for a program which was killed in the middle."""
    for at, call in enumerate(guarded_run(case, tmp_path).calls, 1):
        if call.name not in ("xc_domain_hvm_setcontext", "xc_vcpu_setcontext"):
            continue

        def kill(libraries: object, at: int = at) -> None:
            libraries.kill(at, "after")  # type: ignore[attr-defined]

        run = guarded_run(case, tmp_path, Trouble(program=kill))
        calls = run.guards[0].libraries.calls
        names = [each.name for each in calls]
        first = len(names) - names[::-1].index("xc_domain_pause")  # that of the last try

        def scenes(kill: object = kill, calls: object = calls, first: int = first) -> Iterator[Scene]:
            for function, before, place in sites(calls):  # type: ignore[arg-type]
                if place >= first:

                    def fail(guard: Guard, journal: MortalJournal, name: str = function, after: int = before) -> None:
                        guard.libraries.fail(name, errno.EFAULT, after)

                    name = f"killed, and {function}[{before}]: EFAULT"
                    yield Scene(name, Trouble(program=kill, guard=fail), (Killed,))  # type: ignore[arg-type]

        count("kills and a fault", sweep(case, tmp_path, scenes(), what="kills", may_be_killed=True))


@pytest.mark.parametrize("case", cases([each for each in CHANGES if not each.resets], FEW[:1]), ids=str)
def test_a_kill_after_a_change_that_was_put_back_brings_nothing_older_back(
    case: Case, tmp_path: Path, count: Count
) -> None:
    """The guest has gone on since, and its registers are others."""
    state = long64(0x1234000, 0x8000, 0x2000)
    gone_on = to_cpu_record(state).pack(), None

    def earlier(domain: Any, libraries: ModelLibraries) -> None:
        libraries.fail("xc_domain_hvm_getcontext", errno.ENOMEM, 2)  # the read-back
        with pytest.raises(HypercallError):
            case.act(domain)
        vcpu = libraries.host.named(case.domain).vcpus[0]
        vcpu.state, vcpu.xsave = gone_on

    found = tuple(zip((f"{case.domain}.0.registers", f"{case.domain}.0.xsave"), gone_on))
    run = guarded_run(case, tmp_path, Trouble(earlier=earlier, found=found))
    scenes = (
        Scene(scene.name, replace(scene.trouble, earlier=earlier, found=found), scene.raises)
        for scene in _of_program(run) if "write" not in scene.name
    )
    count("kills after a change that was put back", sweep(case, tmp_path, scenes, what="kills"))
