# SPDX-License-Identifier: MIT
"""Sequences of calls that a real Xen has gone through, gone through again by the model."""

from __future__ import annotations

import errno
from typing import Iterator, List

import pytest

from integration.verdicts import modelbench, store
from integration.verdicts.store import Recording
from integration.verdicts.traces import Seen
from verdicts import replaying
from xenvcpu.rules.release import Release

RELEASES = sorted(name for name, recording in replaying.recordings().items() if recording.traces)


def differences(recording: Recording) -> Iterator[str]:
    """The first step of each sequence after which something else is to be seen."""
    for steps, seen in recording.traces:
        given_again: List[Seen] = modelbench.bench(str(Release.parse(recording.xen))).run(steps)
        assert len(steps) == len(seen) == len(given_again)
        for number, (xen, ours) in enumerate(zip(seen, given_again)):
            if xen != ours:
                yield f"{steps[: number + 1]}: Xen {xen}, the model {ours}"
                break


@pytest.mark.parametrize("release", RELEASES)
def test_every_sequence_leaves_the_model_as_it_left_xen(release: str) -> None:
    assert list(differences(replaying.recordings()[release])) == []


@pytest.mark.parametrize("field", Seen._fields)
def test_anything_else_that_is_seen_after_a_step_is_noticed(field: str) -> None:
    recording = replaying.recordings()["4.17"]
    steps, seen = recording.traces[0]
    for at in (0, len(seen) - 1):
        was = getattr(seen[at], field)
        other = seen[at]._replace(**{field: [*was, 99] if isinstance(was, list) else 99})
        spoilt = recording._replace(traces=[(steps, [*seen[:at], other, *seen[at + 1 :]])])
        (line,) = differences(spoilt)
        assert line.startswith(f"{steps[: at + 1]}: Xen ")


def test_every_release_went_through_the_sequences_of_the_state_machine() -> None:
    assert {"4.14", "4.17", "4.20"} <= set(RELEASES)
    for release in RELEASES:
        assert [steps for steps, _ in replaying.recordings()[release].traces] == store.sequences(), release


def test_the_sequences_take_and_refuse_each_call() -> None:
    """Each call of a guest and of dom0 is in them, both answered well and refused, where Xen can refuse it."""
    answered = {
        (step[0], seen.errno == 0)
        for recording in replaying.recordings().values() for steps, all_seen in recording.traces
        for step, seen in zip(steps, all_seen)
    }
    refusable = "initialise up down is_up reset load save pause unpause info context".split()
    assert answered >= {(verb, is_good) for verb in refusable for is_good in (True, False)} | {("destroy", True)}


def test_after_the_domain_was_destroyed_xen_knows_none() -> None:
    """Every call of dom0 is among those, and is answered with ESRCH; Xen numbers the next domain anew."""
    called = set()
    for recording in replaying.recordings().values():
        for steps, all_seen in recording.traces:
            after = [(step[0], seen) for step, seen in zip(steps, all_seen) if not seen.is_there]
            assert [verb for verb, seen in after if seen.errno != errno.ESRCH] in ([], ["destroy"])
            called |= {verb for verb, _ in after}
    assert called >= {"destroy", "reset", "load", "save", "pause", "unpause", "info", "context"}
