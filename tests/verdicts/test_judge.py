# SPDX-License-Identifier: MIT
"""The recorder's own parts, without a Xen."""

from __future__ import annotations

from typing import Iterator, List, Sequence

import pytest

from integration.verdicts.judge import is_noise, judged_otherwise, named_alike
from integration.verdicts.recipe import Recipe
from integration.verdicts.store import Verdict, files, read


def test_console_lines_are_told_apart_by_domain() -> None:
    """The recorder calls its domain 1, and leaves dom0 and other domains' names alone."""
    assert named_alike("(XEN) d12v0 Non-code segment provided for CS", 12) == "d1v0 Non-code segment provided for CS"
    assert named_alike("(XEN) HVM12 restore: bad CR0 0x1", 12) == "HVM1 restore: bad CR0 0x1"
    assert named_alike("(XEN) d0v0 bad flags value", 12) == "d0v0 bad flags value"
    assert named_alike("(XEN) d1v0 x", 12) == "d1v0 x"


def test_what_xen_prints_about_its_own_serial_port_is_no_answer() -> None:
    assert is_noise("uart interrupt taking more than 4ms, switched to polling")
    assert not is_noise("printk: 10 messages suppressed.")


@pytest.mark.parametrize(("times", "differing"), [(1, 0), (2, 1)])
def test_a_verdict_is_another_only_if_it_is_so_twice(times: int, differing: int) -> None:
    """A line that Xen prints of its own accord comes once."""
    recorded = read(files()[0]).verdicts[:3]
    given: List[int] = []

    def judge(recipes: Sequence[Recipe]) -> Iterator[Verdict]:
        given.append(len(recipes))
        for verdict in reversed(recorded):
            if verdict.recipe in recipes:
                is_spoilt = verdict is recorded[1] and len(given) <= times
                yield verdict._replace(lines=(*verdict.lines, "of its own")) if is_spoilt else verdict

    assert [then for then, _ in judged_otherwise(judge, recorded)] == [recorded[1]] * differing
    assert given == [3, 1]
