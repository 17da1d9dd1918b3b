# SPDX-License-Identifier: MIT
"""What the suites of promises count, shown at the end of a run."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Set

import pytest
from integration import promises as counting

Count = Callable[[str, Mapping[str, int]], None]
Totals = Dict[str, Dict[str, int]]

_counts: List[counting.Count] = []
_tests: Dict[str, Set[str]] = {}


@pytest.fixture
def count(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Count:
    """Takes what a test counted, for the line of its suite."""

    def keep(suite: str, counts: Mapping[str, int]) -> None:
        _tests.setdefault(suite, set()).add(request.node.nodeid)
        for what, number in counts.items():
            record_property(counting.property_name(suite, what), number)
            _counts.append((suite, what, number))

    return keep


@pytest.fixture
def totals() -> Totals:
    """What all tests of this run counted, by suite; `tests` is how many they were."""
    found: Totals = {suite: {"tests": len(tests)} for suite, tests in _tests.items()}
    for suite, what, number in _counts:
        found[suite][what] = found[suite].get(what, 0) + number
    return found


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps wakes at once, by a clock that says how late it is: the model gets no better with time."""
    monotonic, slept = time.monotonic, [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + slept[0])


KINDS = {"faults": "faults", "pairs": "faults", "answers": "faults", "kills": "kills"}
"""What the unit of a suite counts as in the sums of all suites."""


def _in_all(suite: str, what: str, number: int) -> counting.Count:
    """A count of a suite as one of all suites of its kind."""
    kind = next(KINDS[unit] for name, unit, _ in _counts if name == suite and unit in KINDS)
    return f"all {kind}", KINDS.get(what, what), number


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the counts, a line for each suite."""
    if _counts:
        terminalreporter.section("promises")
        for line in counting.lines([*_counts, *(_in_all(*count) for count in _counts)]):
            terminalreporter.write_line(line)
