# SPDX-License-Identifier: MIT
"""Sequences of calls that a real Xen has gone through, gone through again by the model."""

from __future__ import annotations

from typing import Iterator, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration.verdicts import traces
from integration.verdicts.traces import Bench, Seen
from verdicts import replaying
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.errors import HypercallError
from xenvcpu.model import build, worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.guest import GuestPort
from xenvcpu.rules.release import Release

_GUEST = 1
INITIALISE, UP, DOWN = 0, 1, 2
RELEASES = sorted(replaying.recordings())


def model(release: str) -> Bench:
    """A domain on the model, whose boot vcpu makes the guest's calls."""
    host = worlds.new(release, ())
    host.vendor, host.xfeature_mask = "amd", 0
    build.add_domain(host, "traced", traces.VCPUS, domid=_GUEST, features=worlds.LAB_FEATURES)
    guest = GuestPort(ModelLibraries(host, _GUEST))

    def vcpu_op(command: int, vcpuid: int, data: bytes) -> int:
        try:
            if command == INITIALISE:
                guest.initialise(vcpuid, vcpu_hvm_context.decode(data))
            elif command in (UP, DOWN):
                (guest.up if command == UP else guest.down)(vcpuid)
            else:
                return int(guest.is_up(vcpuid))
        except HypercallError as error:
            return -(error.errno or 1)
        return 0

    return Bench(Dom0Port(ModelLibraries(host)), _GUEST, vcpu_op)


def differences(release: str) -> Iterator[str]:
    """The first step of each sequence after which something else is to be seen."""
    recording = replaying.recordings()[release]
    for steps, seen in recording.traces:
        given_again: List[Seen] = model(str(Release.parse(recording.xen))).run(steps)
        for number, (xen, ours) in enumerate(zip(seen, given_again)):
            if xen != ours:
                yield f"{steps[: number + 1]}: Xen {xen}, the model {ours}"
                break


@pytest.mark.parametrize("release", RELEASES)
def test_every_sequence_leaves_the_model_as_it_left_xen(release: str) -> None:
    assert list(differences(release)) == []


def test_the_sequences_take_and_refuse_each_call() -> None:
    """Each call of a guest and of dom0 is in them, both answered well and refused, where Xen can refuse it."""
    answered = {
        (step[0], seen.errno == 0)
        for recording in replaying.recordings().values() for steps, all_seen in recording.traces
        for step, seen in zip(steps, all_seen)
    }
    both = {(verb, is_good) for verb in ("initialise", "up", "load", "unpause") for is_good in (True, False)}
    assert both | {("down", True), ("reset", True), ("pause", True)} <= answered


@settings(max_examples=30)
@given(st.text(max_size=8), st.sampled_from(["4.7", "4.14", "4.17", "4.20"]))
def test_any_sequence_ends_as_it_began_on_the_model(seed: str, release: str) -> None:
    """The clean-up at the end of a sequence is complete, so one sequence cannot change the next one."""
    (steps,) = traces.made(1, seed)
    last = model(release).run(steps)[-1]
    assert (last.online, last.saved, last.is_paused, last.shutdown) == ([0], [0], False, None)
    assert last.initialised == [0]
