# SPDX-License-Identifier: MIT
"""A fault in a change, and another one while it is put back: that is tried again, and then left to the guard."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Sequence, Tuple

import pytest
from promises.conftest import Count
from promises.guarded import Trouble, guarded_run
from promises.injections import sites
from promises.operations import CHANGES, FEW, Case, cases
from promises.sweeps import Scene, sweep

from xenvcpu.model.faults import Answer, answer_lost
from xenvcpu.model.libraries import Call, ModelLibraries

pytestmark = pytest.mark.usefixtures("no_sleep")
ANSWERS = (("is refused", errno.ENOMEM), ("is done, and its answer is lost", answer_lost(errno.EIO)))
_TOUCHING = ("xc_domain_hvm_setcontext", "xc_vcpu_setcontext")


class Hit(NamedTuple):
    """One fault.

    Attributes:
        name: What it is, for people.
        function: The C function.
        answer: What it answers instead.
        before: How many calls of it come before in this run.
        place: Where the call is among all of this run.
    """

    name: str
    function: str
    answer: Answer
    before: int
    place: int


def hits(calls: Sequence[Call], start: int, answers: Sequence[Tuple[str, Answer]]) -> Iterator[Hit]:
    """The faults of each call from a place on."""
    for function, before, place in sites(calls):
        if place >= start:
            for what, answer in answers:
                yield Hit(f"{function}[{before}] {what}", function, answer, before, place)


def arming(*pair: Hit) -> Callable[[ModelLibraries], None]:
    """Sets up faults, in the order in which they come."""

    def arm(libraries: ModelLibraries) -> None:
        passed: dict[str, int] = {}
        for hit in pair:
            # One waits for the fault before it of the same function; that call is not counted again.
            libraries.fail(hit.function, hit.answer, hit.before - passed.get(hit.function, 0))
            passed[hit.function] = hit.before + 1

    return arm


def pairs(case: Case, folder: Path) -> List[Scene]:
    """Each fault from the first call on that touches the domain, and with it a refusal of each call after it."""
    calls = guarded_run(case, folder).calls
    touched = min(place for place, call in enumerate(calls) if call.name in _TOUCHING)
    scenes = []
    for first in hits(calls, touched, ANSWERS):
        alone = guarded_run(case, folder, Trouble(program=arming(first)))
        for second in hits(alone.calls, first.place + 1, ANSWERS[:1]):
            scenes.append(Scene(f"{first.name}, then {second.name}", Trouble(program=arming(first, second))))
    return scenes


@pytest.mark.parametrize("case", [*cases(CHANGES, FEW[:1]), *cases(CHANGES[1:2], FEW[1:])], ids=str)
def test_a_fault_while_a_fault_is_put_back_loses_nothing(case: Case, tmp_path: Path, count: Count) -> None:
    count("faults while a fault is put back", sweep(case, tmp_path, pairs(case, tmp_path), what="pairs"))
