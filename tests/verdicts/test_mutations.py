# SPDX-License-Identifier: MIT
"""Turning any single rule off is noticed: by what a real Xen said, or by what the recipe was made for."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from functools import lru_cache
from typing import Dict, Iterator, List, Mapping, Tuple

import pytest

from integration.verdicts import deaths
from integration.verdicts.recipe import Recipe
from integration.verdicts.recipes import WHOLE
from integration.verdicts.store import Verdict
from verdicts import replaying, rows
from verdicts.replaying import Model
from xenvcpu.rules.rule import INTEL, Case, Rule
from xenvcpu.rules.verdict import Level


def _never(case: Case) -> bool:
    return False


@contextmanager
def turned_off(rule: Rule) -> Iterator[None]:
    """The row stays in its tables, and is never broken."""
    broken = rule.broken
    object.__setattr__(rule, "broken", _never)
    try:
        yield
    finally:
        object.__setattr__(rule, "broken", broken)


@lru_cache(maxsize=None)
def _probing() -> Mapping[rows.Key, List[Tuple[str, Verdict]]]:
    """The verdicts whose recipe was made for a row, with the name of the release."""
    found: Dict[rows.Key, List[Tuple[str, Verdict]]] = defaultdict(list)
    for release, recording in replaying.recordings().items():
        for verdict in recording.verdicts:
            claim = verdict.recipe.claim
            if claim is not None:
                table, _ = rows.of_claim(verdict.recipe.interface, claim)
                found[table, claim.rule, claim.field].append((release, verdict))
    return found


def is_noticed_by_xen(key: rows.Key) -> bool:
    """Whether the model now answers something else than a real Xen did."""
    models = {release: Model(recording) for release, recording in replaying.recordings().items()}
    return any(models[release].disagrees(verdict) for release, verdict in _probing()[key])


@lru_cache(maxsize=None)
def _made_by_hand() -> Mapping[rows.Key, List[Recipe]]:
    """The probes of each row: whether the checker sees their sides needs no recording."""
    found: Dict[rows.Key, List[Recipe]] = defaultdict(list)
    for probe in rows.PROBES:
        assert probe.claim is not None
        table, _ = rows.of_claim(probe.interface, probe.claim)
        found[table, probe.claim.rule, probe.claim.field].append(probe)
    return found


def is_noticed_by_hand(key: rows.Key) -> bool:
    """Whether the checker now misses what a probe was made for."""
    return any(not rows.is_seen(probe, release) for probe in _made_by_hand()[key] for release in WHOLE)


def is_judged_in_the_lab(key: rows.Key, rule: Rule) -> bool:
    """Whether a recorded Xen, or the processor below it, can have said something about a row."""
    if rule.level is Level.WARNING or rule.vendor == INTEL or rule.name in deaths.LET_RUN:
        return False
    if rule.level is Level.FATAL and not any(verdict.outcome for _, verdict in _probing()[key]):
        return False
    recorded = [Model(recording).release for recording in replaying.recordings().values()]
    return any(release in rule.releases for release in recorded)


MUTATIONS = [(key, number) for key, given in rows.ROWS.items() for number in range(len(given))]


def test_every_recipe_is_judged_as_recorded_before_any_rule_is_turned_off() -> None:
    assert not any(is_noticed_by_xen(key) or is_noticed_by_hand(key) for key in rows.ROWS)


@pytest.mark.parametrize("key, number", MUTATIONS, ids=lambda part: " ".join(part) if isinstance(part, tuple) else "")
def test_turning_a_rule_off_makes_the_replay_fail(key: rows.Key, number: int) -> None:
    rule = rows.ROWS[key][number]
    with turned_off(rule):
        if is_judged_in_the_lab(key, rule):
            assert is_noticed_by_xen(key)
        else:
            assert is_noticed_by_hand(key)


def test_of_every_fatal_lint_it_is_told_whether_the_lab_has_seen_it() -> None:
    """The domain died; or it ran, with the manual's section; or nothing comes to it; or it is of VT-x alone."""
    fatal = [(rule.name, rule, key) for key, given in rows.ROWS.items() for rule in given if rule.level is Level.FATAL]
    shown = {name for name, rule, key in fatal if is_judged_in_the_lab(key, rule)}
    assert shown == deaths.SHOWN
    assert not shown & set(deaths.LET_RUN) and not shown & set(deaths.UNREACHED)
    told = {name for name, _, _ in fatal if deaths.seen(name)}
    assert {name for name, rule, _ in fatal if rule.vendor != INTEL} <= told <= {name for name, _, _ in fatal}
