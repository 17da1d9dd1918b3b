# SPDX-License-Identifier: MIT
"""The recorder's own parts, without a Xen."""

from __future__ import annotations

from typing import Iterator, List, Sequence

import pytest

from integration.verdicts.judge import JudgeError, is_noise, judged_otherwise, named_alike
from integration.verdicts.recipe import Recipe
from integration.verdicts.store import Verdict, files, read


def test_console_lines_are_told_apart_by_domain() -> None:
    """The recorder calls its domain 1, and leaves dom0 and other domains' names alone."""
    assert named_alike("(XEN) d12v0 Non-code segment provided for CS", 12) == "d1v0 Non-code segment provided for CS"
    assert named_alike("(XEN) HVM12 restore: bad CR0 0x1", 12) == "HVM1 restore: bad CR0 0x1"
    assert named_alike("(XEN) d0v0 bad flags value", 12) == "d0v0 bad flags value"
    assert named_alike("(XEN) d1v0 x", 12) == "d1v0 x"


@pytest.mark.parametrize("line", [
    "uart interrupt taking more than 4ms, switched to polling",
    "Platform timer appears to have unexpectedly wrapped 2 times.",
    "Platform timer appears to have unexpectedly wrapped 10+ times.",
    "cpu0: spurious 8259A interrupt: IRQ7",
    "spurious APIC interrupt on CPU#0, should never happen.",
    "APIC error on CPU0: 00(40), Received illegal vector",
])
def test_what_xen_prints_of_its_own_accord_is_no_answer(line: str) -> None:
    """Nor is it part of one: it is the whole line or nothing."""
    assert is_noise(line)
    assert not is_noise(f"d1v0 {line}")


@pytest.mark.parametrize("line", ["printk: 10 messages suppressed.", "d1v0 Bad CR4 value: 0x8000"])
def test_anything_else_may_be_an_answer(line: str) -> None:
    """Lines that are missing from an answer are noticed, too."""
    assert not is_noise(line)


def spoilt(verdict: Verdict) -> Verdict:
    return verdict._replace(lines=(*verdict.lines, "d1v0 something else"))


def test_a_wrong_answer_given_once_is_noticed() -> None:
    """There is no second chance: each recipe is given to Xen once."""
    recorded = read(files()[0]).verdicts[:3]
    given: List[Recipe] = []

    def judge(recipes: Sequence[Recipe]) -> Iterator[Verdict]:
        given.extend(recipes)
        for verdict in reversed(recorded):
            yield spoilt(verdict) if verdict is recorded[1] and len(given) == 3 else verdict

    assert judged_otherwise(judge, recorded) == [(recorded[1], spoilt(recorded[1]))]
    assert given == [verdict.recipe for verdict in recorded]


@pytest.mark.parametrize("answers", [(0, 1), (0, 1, 2, 1)])
def test_each_recipe_is_judged_once(answers: Sequence[int]) -> None:
    """One that got no verdict is not passed over, and one that got two is not counted twice."""
    recorded = read(files()[0]).verdicts[:3]
    with pytest.raises(JudgeError):
        judged_otherwise(lambda recipes: [recorded[number] for number in answers], recorded)
