# SPDX-License-Identifier: MIT
"""What the suites of promises count, shown at the end of a run."""

from __future__ import annotations

import time
from typing import Any, Callable, List, Mapping

import pytest
from integration import promises as counting

Count = Callable[[str, Mapping[str, int]], None]

_counts: List[counting.Count] = []


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Takes what a test counted, for the line of its suite."""

    def keep(suite: str, counts: Mapping[str, int]) -> None:
        for what, number in counts.items():
            record_property(counting.property_name(suite, what), number)
            _counts.append((suite, what, number))

    return keep


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps wakes at once, by a clock that says how late it is: the model gets no better with time."""
    monotonic, slept = time.monotonic, [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + slept[0])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the counts, a line for each suite."""
    if _counts:
        terminalreporter.section("promises")
        for line in counting.lines(_counts):
            terminalreporter.write_line(line)
