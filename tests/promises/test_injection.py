# SPDX-License-Identifier: MIT
"""Every fault of every C call of every operation: the world is as before or as after, and the error says which."""

from __future__ import annotations

import pytest
from promises.conftest import Count
from promises.injections import single
from promises.operations import LOOKS, ONCE, Case, cases
from promises.programs import faultless, sweep

pytestmark = pytest.mark.usefixtures("no_sleep")


@pytest.mark.parametrize("case", cases(LOOKS, ONCE), ids=str)
def test_who_only_looks_changes_nothing_whatever_fails(case: Case, count: Count) -> None:
    count("faults", sweep(case, list(single(faultless(case).calls))))
