# SPDX-License-Identifier: MIT
"""A program with a guard, as on a real host: any call of either fails, or all that follow it do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Iterator

import pytest
from promises.conftest import Count
from promises.guarded import Trouble, guarded_run
from promises.injections import Fault, single, vanishing
from promises.operations import CHANGES, FEW, RARE, Case, cases
from promises.sweeps import Scene, sweep

pytestmark = pytest.mark.usefixtures("no_sleep")
WITH_A_GUARD = pytest.mark.parametrize("case", [*cases(CHANGES, FEW), *RARE], ids=str)
OF_THE_GUARD = pytest.mark.parametrize("case", cases([CHANGES[1], CHANGES[4]], FEW), ids=str)
"""What a guard is asked for does not depend on the operation."""
TELLING = (errno.ENOMEM, errno.EINVAL, errno.ESRCH)


def _of_program(faults: Iterator[Fault]) -> Iterator[Scene]:
    return (Scene(fault.name, Trouble(program=fault.arm), fault.raises) for fault in faults)


def _of_guard(faults: Iterator[Fault]) -> Iterator[Scene]:
    """Signals are not for a guard: it ignores them."""
    for fault in faults:
        if KeyboardInterrupt not in fault.raises:
            yield Scene(fault.name, Trouble(guard=lambda guard, journal, arm=fault.arm: arm(guard.libraries)))


@WITH_A_GUARD
def test_what_fails_in_the_program_is_put_back(case: Case, tmp_path: Path, count: Count) -> None:
    """With each errno that is taken for something else than a refusal; `test_injection` has them all."""
    calls = guarded_run(case, tmp_path).calls
    count("faults with a guard", sweep(case, tmp_path, _of_program(single(calls, TELLING)), what="faults"))


@WITH_A_GUARD
def test_a_program_that_loses_its_library_leaves_it_to_the_guard(case: Case, tmp_path: Path, count: Count) -> None:
    calls = guarded_run(case, tmp_path).calls
    count("libraries gone", sweep(case, tmp_path, _of_program(vanishing(calls)), what="faults"))


@OF_THE_GUARD
def test_what_fails_in_the_guard_is_done_by_the_program(case: Case, tmp_path: Path, count: Count) -> None:
    calls = guarded_run(case, tmp_path).guards[0].libraries.calls
    count("faults of the guard", sweep(case, tmp_path, _of_guard(single(calls)), what="faults"))


@OF_THE_GUARD
def test_a_guard_that_loses_its_library_leaves_it_to_the_program(case: Case, tmp_path: Path, count: Count) -> None:
    calls = guarded_run(case, tmp_path).guards[0].libraries.calls
    count("libraries gone", sweep(case, tmp_path, _of_guard(vanishing(calls)), what="faults"))
