# SPDX-License-Identifier: MIT
"""What the suites of promises count, and a clock that does not wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable

import pytest
from integration import promises as counting
from promises import totals
from promises.tally import Tally

Count = Callable[[str, Tally], None]


def pytest_configure(config: pytest.Config) -> None:
    """Add up what all tests count."""
    totals.register(config, Path(__file__).parent)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Takes what a test counted, for the line of its suite; a test that lost something fails."""

    def keep(suite: str, tally: Tally) -> None:
        for what, number in tally.counts.items():
            record_property(counting.property_name(suite, what), number)
        tally.require_none_lost()

    return keep


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps wakes at once, by a clock that says how late it is: the model gets no better with time."""
    monotonic, slept = time.monotonic, [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + slept[0])
