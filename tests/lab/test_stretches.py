# SPDX-License-Identifier: MIT
"""What a run says in the end of limits that were stretched."""

from integration.lab.stretches import Hours, Stretch, lines


def test_nothing_was_stretched() -> None:
    """It is said, and for how long hosts waited."""
    assert lines([("4.17", Hours(60.4, 1.2), []), ("4.20", Hours(40, 0), [])]) == [
        "limits stretched: 0; hosts waited for a processor for 1 of 100 s",
    ]


def test_stretched_limits_are_counted_and_named() -> None:
    """How many, by how much, in which test; the worst first."""
    one = Stretch.of({"key": "1", "test": "test_a.py::test_b", "limit": 60, "clock": 61.5})
    other = Stretch.of({"key": "2", "limit": 240.0, "clock": 250})
    assert lines([("4.17", Hours(300, 100), [one, other])]) == [
        "limits stretched: 2, by 10.0 s at most; hosts waited for a processor for 100 of 300 s",
        "  4.17: the host: 240 s took 250.0 s",
        "  4.17: test_a.py::test_b: 60 s took 61.5 s",
    ]
