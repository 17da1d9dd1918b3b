# SPDX-License-Identifier: MIT
"""Every verdict of a real Xen that is kept, given again by the rules and by the model."""

from __future__ import annotations

import errno
from typing import Iterable, List, Sequence, Tuple

import pytest

from integration.verdicts import deaths, recipes, store
from integration.verdicts import recipe as names
from integration.verdicts.store import Verdict
from verdicts import replaying
from verdicts.replaying import Answer, Model
from xenvcpu.rules.verdict import Finding

RELEASES = sorted(replaying.recordings())
ENTRIES = (names.ENTRY_VCPUOP, names.ENTRY_RECORD)
INTERFACES = (names.VCPUOP, names.RECORD)
EACH, ALL = 5000, 30000


def of_kind(release: str, *kinds: str) -> List[Verdict]:
    """The verdicts on recipes of some kinds."""
    return [verdict for verdict in replaying.recordings()[release].verdicts if verdict.recipe.kind in kinds]


def disagreements(model: Model, verdicts: Iterable[Verdict]) -> List[Tuple[Verdict, Answer]]:
    """Where the model answers something else, or prints something else."""
    answers = ((verdict, model.answer(verdict.recipe)) for verdict in verdicts)
    return [(verdict, answer) for verdict, answer in answers if answer != replaying.of_xen(verdict)]


def misjudged(model: Model, verdicts: Iterable[Verdict]) -> List[Tuple[Verdict, Sequence[Finding]]]:
    """Where the rules alone say something else."""
    wrong = []
    for verdict in verdicts:
        recipe = verdict.recipe
        if recipe.base != names.NOWHERE and recipe.target not in (names.MISSING, names.INITIALISED):
            findings = model.refusals(recipe)
            if replaying.differ(verdict, findings):
                wrong.append((verdict, findings))
    return wrong


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("release", RELEASES)
def test_the_model_answers_and_prints_what_xen_did(release: str, interface: str) -> None:
    asked = of_kind(release, interface)
    assert len(asked) >= (EACH if release in recipes.WHOLE else EACH // 10)
    assert disagreements(Model(replaying.recordings()[release]), asked) == []


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("release", RELEASES)
def test_the_rules_alone_say_what_xen_said_to_a_context(release: str, interface: str) -> None:
    assert misjudged(Model(replaying.recordings()[release]), of_kind(release, interface)) == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_vcpu_that_was_let_run_lives_or_dies_as_the_model_says(release: str) -> None:
    model = Model(replaying.recordings()[release])
    assert [verdict for verdict in of_kind(release, *ENTRIES) if model.disagrees(verdict)] == []


def test_the_processor_below_took_some_states_and_refused_others() -> None:
    outcomes = {verdict.outcome for release in RELEASES for verdict in of_kind(release, *ENTRIES)}
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
        asked = of_kind(release, interface)
        taken = sum(verdict.errno == 0 for verdict in asked)
        assert EACH // 4 < taken < len(asked) - EACH // 4


def spoilt(verdict: Verdict) -> List[Verdict]:
    """It with each part another."""
    lines = [(*verdict.lines, "bad CR4 0x1")] + [verdict.lines[1:]] * bool(verdict.lines)
    return [
        verdict._replace(errno=errno.EPERM),
        verdict._replace(errno=0 if verdict.errno else errno.EINVAL),
        *(verdict._replace(lines=each) for each in lines),
    ]


def one_of_each(verdicts: Sequence[Verdict]) -> List[Verdict]:
    """The first that Xen took, the first that it refused without a word, and the first that it explained."""
    kinds = {(verdict.errno != 0, bool(verdict.lines)): verdict for verdict in reversed(verdicts)}
    return [kinds[kind] for kind in ((False, False), (True, False), (True, True)) if kind in kinds]


@pytest.mark.parametrize("interface", INTERFACES)
def test_another_errno_or_line_is_noticed(interface: str) -> None:
    model = Model(replaying.recordings()["4.17"])
    others = [other for verdict in one_of_each(of_kind("4.17", interface)) for other in spoilt(verdict)]
    assert len(others) >= 6 and [verdict for verdict, _ in disagreements(model, others)] == others


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_rules_alone_notice_another_errno_or_line(interface: str) -> None:
    model = Model(replaying.recordings()["4.17"])
    fresh = [
        verdict for verdict in of_kind("4.17", interface)
        if verdict.recipe.target == names.FRESH and verdict.recipe.base != names.NOWHERE
    ]
    taken = next(verdict for verdict in fresh if not verdict.errno)
    explained = next(verdict for verdict in fresh if any(found.console for found in model.refusals(verdict.recipe)))
    others = [
        taken._replace(errno=errno.EINVAL), taken._replace(lines=("bad CR4 0x1",)), explained._replace(errno=0),
        explained._replace(errno=errno.EPERM), explained._replace(lines=()),
        explained._replace(lines=("bad CR4 0x1", *explained.lines)),
    ]
    assert misjudged(model, [taken, explained]) == []
    assert [verdict for verdict, _ in misjudged(model, others)] == others


@pytest.mark.parametrize("outcome", [store.RUNS, store.CRASH, store.REBOOT])
def test_another_end_of_a_vcpu_that_was_let_run_is_noticed(outcome: str) -> None:
    model = Model(replaying.recordings()["4.17"])
    verdict = next(
        each for each in of_kind("4.17", *ENTRIES)
        if each.outcome == outcome and not replaying.is_let_run(each._replace(outcome=store.RUNS))
    )
    ends = {store.RUNS, store.CRASH, store.REBOOT} - {outcome}
    assert not model.disagrees(verdict)
    assert all(model.disagrees(verdict._replace(outcome=end)) for end in ends)
    assert model.disagrees(verdict._replace(errno=errno.EINVAL))


def test_a_state_that_only_the_emulator_runs_has_to_die_on_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(replaying.recordings()["4.17"])
    verdict = next(each for each in of_kind("4.17", *ENTRIES) if replaying.is_let_run(each))
    assert not model.disagrees(verdict)
    for answer in (Answer(0, (), store.RUNS), Answer(errno.EINVAL, ())):
        monkeypatch.setattr(model, "answer", lambda recipe, answer=answer: answer)
        assert model.disagrees(verdict)
