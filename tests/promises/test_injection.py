# SPDX-License-Identifier: MIT
"""Every fault of every C call of every operation: the world is as before or as after, and the error says which."""

from __future__ import annotations

from typing import Dict, List

import pytest
from promises.conftest import Count
from promises.injections import Fault, single
from promises.operations import CHANGES, FEW, INSIDE, LOOKS, PLACES, Case, cases
from promises.programs import done, ending, named, runs
from promises.verdicts import Lost, Verdict, judge, tally

pytestmark = pytest.mark.usefixtures("no_sleep")


def sweep(case: Case, faults: List[Fault]) -> Dict[str, int]:
    """Run an operation with each fault by itself, and count how it ended."""
    verdicts: List[Verdict] = []
    lost: List[str] = []
    for fault, found in zip(faults, runs(case, faults)):
        try:
            verdicts.append(judge(ending(case, found), fault.raises, spent=named(case, case.operation.starts)))
        except Lost as error:
            lost.append(f"{fault.name}: {error}")
    assert not lost, f"{len(lost)} of {len(faults)} faults, first {lost[0]}"
    return {"faults": len(faults), **tally(verdicts), "lost": 0}


@pytest.mark.parametrize("case", cases(LOOKS, FEW), ids=str)
def test_who_only_looks_changes_nothing_whatever_fails(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))


@pytest.mark.parametrize("case", cases(INSIDE, FEW), ids=str)
def test_inside_the_guest_the_error_names_what_cannot_be_undone(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))


@pytest.mark.parametrize("case", cases(CHANGES, PLACES), ids=str)
def test_a_change_is_whole_or_undone_whatever_fails(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(done(case).calls))))
