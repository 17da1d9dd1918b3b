# SPDX-License-Identifier: MIT
"""Every fault of every C call of every operation: the world is as before or as after, and the error says which."""

from __future__ import annotations

from functools import partial
from typing import Iterable, List, Optional

import pytest
from promises.conftest import Count
from promises.injections import Fault, single, vanishing
from promises.operations import CHANGES, FEW, INSIDE, LOOKS, PLACES, RARE, Case, cases
from promises.programs import Run, done, ending, named, runs
from promises.tally import Tally
from promises.verdicts import judge

from xenvcpu.model.libraries import ModelLibraries

pytestmark = pytest.mark.usefixtures("no_sleep")


def sweep(case: Case, faults: List[Fault], found_by: Optional[Iterable[Run]] = None) -> Tally:
    """Run an operation with each fault by itself, and count how it ended."""
    tally, spent = Tally("faults"), named(case, case.operation.starts)
    for fault, found in zip(faults, runs(case, faults) if found_by is None else found_by):
        tally.take(fault.name, partial(judge, ending(case, found), fault.raises, spent=spent))
    return tally


def test_a_fault_that_loses_something_is_counted_as_lost() -> None:
    def spoil(libraries: ModelLibraries) -> None:
        libraries.host.named("web").vcpus[2].is_initialised = True

    (case,) = cases(CHANGES[:1], FEW[:1])
    tally = sweep(case, [Fault("nothing", lambda libraries: None), Fault("spoilt", spoil)])
    assert tally.counts == {"faults": 2, "done": 1, "lost": 1}
    assert tally.lost[0].startswith("spoilt: no error, and not done")


@pytest.mark.parametrize("case", cases(LOOKS, FEW), ids=str)
def test_who_only_looks_changes_nothing_whatever_fails(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))


@pytest.mark.parametrize("case", cases(INSIDE, FEW), ids=str)
def test_inside_the_guest_the_error_names_what_cannot_be_undone(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))


@pytest.mark.parametrize("case", [*cases(CHANGES, PLACES), *RARE], ids=str)
def test_a_change_is_whole_or_undone_whatever_fails(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))


@pytest.mark.parametrize("case", cases([*CHANGES, *INSIDE], FEW), ids=str)
def test_without_a_guard_a_library_that_is_gone_for_good_is_told_exactly(case: Case, count: Count) -> None:
    """Nobody is left to put anything back: the error names all that is not as before."""
    faults = list(vanishing(done(case).calls))
    each = (next(runs(case, [fault])) for fault in faults)  # a program of its own
    count("libraries gone, without a guard", sweep(case, faults, each))
