# SPDX-License-Identifier: MIT
"""Every verdict of a real Xen that is kept, given again by the rules and by the model."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from integration.verdicts import deaths, recipes, store
from integration.verdicts import recipe as names
from integration.verdicts.store import Verdict
from verdicts import replaying
from verdicts.replaying import Answer, Model

RELEASES = sorted(replaying.recordings())
ENTRIES = (names.ENTRY_VCPUOP, names.ENTRY_RECORD)
INTERFACES = (names.VCPUOP, names.RECORD)
EACH, ALL = 5000, 30000
Disagreement = Tuple[Verdict, Answer]


def disagreements(release: str, interface: str) -> List[Disagreement]:
    """Where the model answers something else, or prints something else."""
    recording = replaying.recordings()[release]
    model = Model(recording)
    asked = [verdict for verdict in recording.verdicts if verdict.recipe.kind == interface]
    assert len(asked) >= (EACH if release in recipes.WHOLE else EACH // 10)
    answers = ((verdict, model.answer(verdict.recipe)) for verdict in asked)
    return [(verdict, answer) for verdict, answer in answers if answer != replaying.of_xen(verdict)]


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("release", RELEASES)
def test_the_model_answers_and_prints_what_xen_did(release: str, interface: str) -> None:
    assert disagreements(release, interface) == []


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("release", RELEASES)
def test_the_rules_alone_say_what_xen_said_to_a_context(release: str, interface: str) -> None:
    recording = replaying.recordings()[release]
    model = Model(recording)
    wrong = []
    for verdict in recording.verdicts:
        recipe = verdict.recipe
        is_asked = recipe.kind == interface and recipe.base != names.NOWHERE
        if is_asked and recipe.target not in (names.MISSING, names.INITIALISED):
            findings = model.refusals(recipe)
            if replaying.differ(verdict, findings):
                wrong.append((verdict, findings))
    assert wrong == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_vcpu_that_was_let_run_lives_or_dies_as_the_model_says(release: str) -> None:
    recording = replaying.recordings()[release]
    model = Model(recording)
    entered = [verdict for verdict in recording.verdicts if verdict.recipe.kind in ENTRIES]
    assert [verdict for verdict in entered if model.disagrees(verdict)] == []


def test_the_processor_below_took_some_states_and_refused_others() -> None:
    entered = [
        verdict for recording in replaying.recordings().values() for verdict in recording.verdicts
        if verdict.recipe.kind in ENTRIES
    ]
    outcomes = {verdict.outcome for verdict in entered}
    assert {store.RUNS, store.CRASH, store.REBOOT} <= outcomes


def test_what_the_emulator_lets_run_is_what_is_said_of_it() -> None:
    """Each lint that should have killed a domain here and did not is named, with the manual's section."""
    alive = {
        verdict.recipe.claim.rule
        for recording in replaying.recordings().values() for verdict in recording.verdicts
        if verdict.recipe.claim is not None and replaying.is_let_run(verdict)
    }
    assert alive == set(deaths.LET_RUN)


def test_everything_that_is_to_be_recorded_is_there() -> None:
    assert set(recipes.WHOLE) <= set(RELEASES) <= set(recipes.RELEASES)
    assert sum(len(recording.verdicts) for recording in replaying.recordings().values()) >= ALL


@pytest.mark.parametrize("release", recipes.WHOLE)
def test_xen_both_takes_and_refuses_plenty_in_every_release(release: str) -> None:
    for interface in INTERFACES:
        asked = [each for each in replaying.recordings()[release].verdicts if each.recipe.kind == interface]
        taken = sum(verdict.errno == 0 for verdict in asked)
        assert EACH // 4 < taken < len(asked) - EACH // 4
