# SPDX-License-Identifier: MIT
"""The recipes probe every rule and every lint from both sides, and the checker sees each side for what it is."""

from __future__ import annotations

from typing import Dict, Set

import pytest

from integration.verdicts import recipe as names
from integration.verdicts.recipe import BROKEN, KEPT, RECORD, VCPUOP
from integration.verdicts.recipes import EACH, SAMPLES, WHOLE, of_recording
from verdicts import rows


@pytest.mark.parametrize("key", rows.ROWS, ids=" ".join)
def test_every_row_of_the_rules_is_probed_from_both_sides(key: rows.Key) -> None:
    sides: Set[str] = set()
    for recipe in rows.PROBES:
        if recipe.claim is not None and recipe.claim[:2] == key[1:]:
            table, _ = rows.of_claim(recipe.interface, recipe.claim)
            sides |= {recipe.claim.side} if table == key[0] else set()
    assert sides == {BROKEN, KEPT}


@pytest.mark.parametrize("release", WHOLE)
def test_the_checker_finds_what_a_probe_breaks_and_not_what_it_keeps(release: str) -> None:
    assert [probe for probe in rows.PROBES if not rows.is_seen(probe, release)] == []


def test_each_release_has_as_many_recipes_as_promised_and_the_same_every_time() -> None:
    for release in WHOLE:
        made = of_recording(release)
        asked: Dict[str, int] = {kind: sum(recipe.kind == kind for recipe in made) for kind in (VCPUOP, RECORD)}
        assert min(asked.values()) >= EACH
        assert made == of_recording(release)
    assert of_recording("4.14") != of_recording("4.20")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_every_probe_and_is_the_same_every_time(name: str) -> None:
    made = of_recording(name)
    assert {recipe.claim for recipe in made} >= {probe.claim for probe in rows.PROBES if probe.domain == names.PLAIN}
    assert made == of_recording(name)
    assert {recipe.domain for recipe in made} == ({names.SHADOWED} if "shadow" in name else {names.PLAIN, names.POOR})
