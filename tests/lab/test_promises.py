# SPDX-License-Identifier: MIT
"""Counts of suites become one line each, whatever number of tests they come from."""

from integration import promises


def test_counts_of_a_suite_are_added_up_and_bounds_are_kept() -> None:
    """Two tests count for one suite; of a bound the largest is shown."""
    counts = [("kills", "kills", 2), ("kills", "lost", 0), ("kills", "at most {} ms", 30), ("soak", "cycles", 5)]
    more = [("kills", "kills", 3), ("kills", "lost", 0), ("kills", "at most {} ms", 20)]
    assert promises.lines([*counts, *more]) == ["kills: 5 kills, 0 lost, at most 30 ms", "soak: 5 cycles"]


def test_a_count_comes_back_from_its_property() -> None:
    """Other properties of a test are none."""
    name = promises.property_name("soak", "ms: each cycle")
    assert promises.from_property(name, 7) == ("soak", "ms: each cycle", 7)
    assert promises.from_property("pause_ms", 7) is None
    assert promises.from_property(name, "7") is None
