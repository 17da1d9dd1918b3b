# SPDX-License-Identifier: MIT
"""What a run of several hosts says in the end."""

from dataclasses import replace
from pathlib import Path
from typing import Dict

import pytest

from integration.lab import cli, doctor, runs
from integration.lab.outcome import Outcome, Verdict

GOOD = Outcome(status=0, boots=1, tests={"t::a": Verdict("t::a", "passed", properties=(("promise:kills:kills", 40),))})
FAILED = Outcome(status=1, boots=1, tests={"t::a": Verdict("t::a", "failed", detail="assert 1 == 2")})
LOST = Outcome(boots=2, losses=["silence", "silence"], trouble="host lost on every attempt: silence")
EMPTY = Outcome(status=5, trouble="pytest ended with status 5 and no failure")
LOST_LATER = replace(LOST, tests=FAILED.tests)
#: One host was lost, and what came of the next one was good.
ONCE = replace(GOOD, boots=2, losses=["QEMU ended by itself with status 1"])
XEN_FAILED = replace(GOOD, boots=1, xen_failed="Xen failed:\n(XEN) Panic on CPU 0:")
#: It failed before its host was lost, and passed on the next one.
TWICE = replace(ONCE, tests=FAILED.tests)


@pytest.mark.parametrize("outcomes, status", [
    ([GOOD, GOOD], 0),
    ([GOOD, FAILED], runs.EXIT_FAILED),
    ([LOST, GOOD], runs.EXIT_LOST),
    ([LOST, FAILED], runs.EXIT_FAILED),
    ([LOST_LATER], runs.EXIT_FAILED),
    ([TWICE], runs.EXIT_FAILED),
    ([EMPTY], runs.EXIT_FAILED),
    ([XEN_FAILED], runs.EXIT_FAILED),
    ([replace(XEN_FAILED, status=-1, losses=["silence"])], runs.EXIT_FAILED),
    ([ONCE, GOOD], 0),
    ([ONCE, ONCE], runs.EXIT_LOST),
    ([ONCE, ONCE, FAILED], runs.EXIT_FAILED),
    ([ONCE, ONCE, *[GOOD] * 15], runs.EXIT_LOST),
    ([ONCE, ONCE, *[GOOD] * 16], 0),
])
def test_the_worst_outcome_decides_how_it_ends(outcomes: "list[Outcome]", status: int) -> None:
    """A host lost on every attempt, or too many lost, are told apart only where nothing has failed."""
    assert runs.status_of(outcomes) == status


def test_a_summary_names_hosts_and_adds_up_their_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of one release all hosts together, of all releases the sum of tests."""
    outcomes: Dict[str, Outcome] = {"4.17/1": GOOD, "4.17/2": XEN_FAILED, "4.20": FAILED, "4.14": LOST}
    runs.summarise(outcomes, tmp_path, 12.3)
    said = capsys.readouterr().out
    assert "promises, 4.17:\n  kills: 80 kills\n" in said
    assert "4.20: t::a" in said and "assert 1 == 2" in said
    assert "host lost on every attempt: silence" in said
    assert "Xen failed:\n(XEN) Panic on CPU 0:" in said
    assert said.endswith(
        "Xen failed: 4.17/2\n"
        "hosts lost: 2 of 5 booted, too many: more than one, and one in ten\n  4.14: silence\n  4.14: silence\n"
        "limits stretched: 0; hosts waited for a processor for 0 of 0 s\n"
        "2 passed, 1 failed in 12 s\n"
    )


def test_a_machine_carries_at_least_one_host() -> None:
    """As many as are asked for, else as many as it has processors and memory for."""
    assert runs.at_once(7) == 7
    assert runs.at_once(0) >= 1


@pytest.mark.parametrize("dashes", [[], ["--"]])
def test_what_follows_two_dashes_is_for_pytest(
    dashes: "list[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashes themselves are not: pytest would take what follows for names of files."""
    orders = []
    monkeypatch.setenv("XENVCPU_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Diagnosis((), (), ()))
    monkeypatch.setattr(runs, "run", lambda order, *rest: orders.append(order) or 0)
    words = ["run", "--wheel", str(tmp_path), *dashes, "integration/test_lab.py", "-x"]
    assert cli.main(words) == 0
    assert orders[0].arguments == ("integration/test_lab.py", "-x")
