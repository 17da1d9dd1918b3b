# SPDX-License-Identifier: MIT
"""The state machine that makes sequences of calls: each runs on the model while it is made.

It needs hypothesis, which no dom0 of the lab has; so a sequence is made outside and brought there.
"""

from __future__ import annotations

import errno
from typing import List, Sequence, Type

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from integration.verdicts import modelbench
from integration.verdicts.traces import MISSING, VCPUS, Seen, Step

LONGEST = 24
_PAUSES = 2
_LIVES = 16
"""So many steps are done before the domain may be destroyed."""
_CHANGE_THOUGH_REFUSED = ("load",)
"""Xen puts every vcpu down before it reads the first record."""
_others = st.sampled_from(range(1, VCPUS))
_vcpus = st.one_of(_others, _others, st.just(MISSING))
_several = st.lists(_others, min_size=1, unique=True)
_mostly = st.sampled_from((True, True, True, False))


class Calls(RuleBasedStateMachine):
    """Calls of a guest and of dom0, on one domain that runs and of which only the boot vcpu is up.

    Attributes:
        release: Which Xen the model is.
        steps: What was done so far.
        seen: What was to be seen after each of them.
    """

    release = "4.17"

    def __init__(self) -> None:
        super().__init__()
        self.bench = modelbench.bench(self.release)
        self.steps: List[Step] = []
        self.seen: List[Seen] = []
        self.pauses = 0
        self.is_there = True

    def _do(self, verb: str, *more: object) -> None:
        self.steps.append([verb, *more])
        self.seen.append(self.bench.do(self.steps[-1]))
        is_done = not self.seen[-1].errno
        self.pauses += {"pause": 1, "unpause": -1}.get(verb, 0) * is_done
        if verb == "destroy" and is_done:
            self.is_there, self.pauses = False, 0
        self._check(self.steps[-1], self.seen[-1])

    def _check(self, step: Step, now: Seen) -> None:
        """What holds after every step."""
        assert set(now.online) <= set(now.initialised), "a vcpu that is up is initialised"
        assert now.saved == now.online, "those that are up have a CPU record, and no others"
        assert now.shutdown is None, "nothing shuts the domain down"
        assert now.is_paused == bool(self.pauses), "as many pauses are held as were taken"
        assert now.is_there == self.is_there, "a domain is there until it is destroyed"
        assert (0 in now.online) == self.is_there, "its boot vcpu stays up"
        if not self.is_there and step != ["destroy"]:
            assert now.errno == errno.ESRCH, "nothing can be called of a domain that is gone"
        if len(self.seen) > 1 and now.errno and step[0] not in _CHANGE_THOUGH_REFUSED:
            assert self.seen[-2]._replace(errno=0) == now._replace(errno=0), "a refused call changes nothing"

    def _runs(self) -> bool:
        return self.is_there and not self.pauses

    @precondition(_runs)
    @rule(vcpuid=_vcpus, is_good=_mostly)
    def initialise(self, vcpuid: int, is_good: bool) -> None:
        """Give a vcpu its first state."""
        self._do("initialise", [vcpuid], is_good)

    @precondition(_runs)
    @rule(vcpuid=_vcpus)
    def up(self, vcpuid: int) -> None:
        """Let a vcpu run."""
        self._do("up", [vcpuid])

    @precondition(_runs)
    @rule(vcpuid=_vcpus)
    def down(self, vcpuid: int) -> None:
        """Stop a vcpu."""
        self._do("down", [vcpuid])

    @precondition(_runs)
    @rule(vcpuid=_vcpus)
    def is_up(self, vcpuid: int) -> None:
        """Ask whether a vcpu is up."""
        self._do("is_up", [vcpuid])

    @precondition(_runs)
    @rule(vcpuid=_others)
    def start(self, vcpuid: int) -> None:
        """Both calls that start a vcpu; alone they seldom meet."""
        self._do("initialise", [vcpuid])
        self._do("up", [vcpuid])

    @rule(vcpuid=_vcpus)
    def reset(self, vcpuid: int) -> None:
        """Make a vcpu down and fresh."""
        self._do("reset", [vcpuid])

    @rule(verb=st.sampled_from(("info", "context")), vcpuid=_vcpus)
    def ask(self, verb: str, vcpuid: int) -> None:
        """Read what Xen tells of one vcpu."""
        self._do(verb, [vcpuid])

    @rule(vcpuids=_several, is_good=_mostly)
    def load(self, vcpuids: Sequence[int], is_good: bool) -> None:
        """Load CPU records."""
        self._do("load", list(vcpuids), is_good)

    @rule()
    def save(self) -> None:
        """Read the whole save stream."""
        self._do("save")

    @precondition(lambda self: self.pauses < _PAUSES)
    @rule()
    def pause(self) -> None:
        """Take a pause."""
        self._do("pause")

    @rule(is_held=_mostly)
    def unpause(self, is_held: bool) -> None:
        """Give all pauses back; now and then one that was never taken."""
        for _ in range(self.pauses or int(not is_held or not self.is_there)):
            self._do("unpause")

    @precondition(lambda self: self.is_there and len(self.steps) >= _LIVES)
    @rule()
    def destroy(self) -> None:
        """Destroy the domain; whatever is called then finds none, and each call of dom0 is made once at least."""
        self._do("destroy")
        for verb in ("info", "context", "reset"):
            self._do(verb, [1])
        self._do("load", [1])
        for verb in ("save", "pause", "unpause"):
            self._do(verb)

    def teardown(self) -> None:
        """Leaves a domain that is still there as it was found, for the next sequence."""
        if self.is_there:
            while self.pauses:
                self._do("unpause")
            for vcpuid in range(1, VCPUS):
                self._do("reset", [vcpuid])
            assert self.seen[-1]._replace(errno=0) == Seen(0, [0], [0], [0], False, None)


def run(release: str, count: int, machine: Type[Calls] = Calls) -> List[List[Step]]:
    """Has the machine make so many sequences, or a few more; returns those that differ.

    They are the same each time with the same hypothesis.
    """
    made: List[List[Step]] = []

    class Kept(machine):  # type: ignore[valid-type, misc]
        def teardown(self) -> None:
            super().teardown()
            if self.steps not in made:
                made.append(self.steps)

    Kept.release = release
    chosen = settings(
        max_examples=count, stateful_step_count=LONGEST, derandomize=True, database=None, deadline=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Kept, settings=chosen)
    return made
