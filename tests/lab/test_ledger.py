# SPDX-License-Identifier: MIT
"""The suite of kills forgives no guest that runs late; a stand-in plays the guest."""

from __future__ import annotations

import itertools
from typing import Dict, Iterator, List, Mapping

import pytest

from integration.evidence.tiny import Watch
from integration.ledger import LIMIT, Ledger
from integration.limits import Limit


class Guest:
    """Beats each time that it is looked at."""

    def __init__(self) -> None:
        self._beats: Iterator[int] = itertools.count()

    def beat(self) -> int:
        return next(self._beats)

    def watch(self) -> Watch:
        return Watch(1, 0, "none", 0)


def ledger(*seconds: float) -> Ledger:
    """One that has seen kills after which the guest ran so late, each with a guard that is a program, in a pause."""
    made = Ledger(Guest(), None)  # type: ignore[arg-type]
    for late in seconds:
        made.kills, made.programs, made.paused = made.kills + 1, made.programs + 1, made.paused + 1
        times = iter((0.0, late))
        made.note(made.late(Limit(LIMIT, lambda times=times: next(times), lambda **fields: None)))  # type: ignore[misc]
    return made


@pytest.fixture
def counted() -> Dict[str, int]:
    return {}


def settle(made: Ledger, counted: Dict[str, int]) -> None:
    def promise(suite: str, counts: Mapping[str, int]) -> None:
        counted.update(counts)

    made.settle(promise)


def test_kills_after_which_the_guest_ran_in_time(counted: Dict[str, int]) -> None:
    """Each is counted, and the slowest shown."""
    settle(ledger(0.1, 0.4, 1.0), counted)
    assert (counted["kills"], counted["guests running within 1 s"], counted["lost"]) == (3, 3, 0)
    assert counted["at most {} ms"] == 1000


@pytest.mark.parametrize("seconds", [[1.01], [*[0.1] * 99, 1.01]])
def test_a_single_late_guest_fails_the_suite(seconds: List[float], counted: Dict[str, int]) -> None:
    """However many were in time; it is counted as lost, and not among those in time."""
    with pytest.raises(pytest.fail.Exception, match=r"the guest stood still for 1\.01 s"):
        settle(ledger(*seconds), counted)
    assert (counted["lost"], counted["guests running within 1 s"]) == (1, len(seconds) - 1)


def test_kills_of_forked_guards_only_show_too_little(counted: Dict[str, int]) -> None:
    made = ledger(0.1)
    made.programs = 0
    with pytest.raises(AssertionError, match="no guard was a program"):
        settle(made, counted)
