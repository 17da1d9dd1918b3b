# SPDX-License-Identifier: MIT
"""What came out of a job: a verdict for each test, however many hosts it took."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Tuple

from integration.lab.events import Event
from integration.lab.stretches import Hours, Stretch
from integration.promises import Count, from_property

#: pytest's own order of words, for the line at the end.
_SHOWN = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
_FAILURES = ("failed", "error")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one test.

    Attributes:
        nodeid: Which test.
        outcome: ``passed``, ``failed``, ``error``, ``skipped``, ``xfailed`` or ``xpassed``.
        seconds: How long it took.
        detail: Why it failed or was skipped.
        properties: What the test recorded.
    """

    nodeid: str
    outcome: str
    seconds: float = 0.0
    detail: str = ""
    properties: Tuple[Tuple[str, object], ...] = ()

    @classmethod
    def of(cls, event: Event) -> "Verdict":
        """Returns the verdict that an event tells."""
        texts = (event.text("nodeid"), event.text("outcome"))
        return cls(*texts, event.number("seconds"), event.text("detail"), event.pairs("properties"))

    @property
    def is_failure(self) -> bool:
        """Whether the run has failed with it."""
        return self.outcome in _FAILURES


@dataclass
class Outcome:
    """What came out of a job.

    Attributes:
        status: Exit status of the job's command.
        boots: Number of hosts booted for it.
        losses: Of each host lost on the way, why.
        xen_failed: What the console says of a Xen that failed; empty if none did.
        collected: Number of tests that pytest found.
        running: Node id of the test that began last.
        tests: The verdicts, by node id, in the order that they fell.
        trouble: Why the job did not come to its end; empty if it did.
        stretched: Limits that took longer by the clock, by a name that each has.
        hours: How long its hosts were there, and waited.
    """

    status: int = -1
    boots: int = 0
    losses: List[str] = field(default_factory=list)
    xen_failed: str = ""
    collected: int = 0
    running: str = ""
    tests: Dict[str, Verdict] = field(default_factory=dict)
    trouble: str = ""
    stretched: Dict[str, Stretch] = field(default_factory=dict)
    hours: Hours = field(default_factory=Hours)

    def take(self, event: Event) -> Verdict:
        """Keeps what an event tells of one test; a failure stays one, whatever comes later."""
        verdict = Verdict.of(event)
        before = self.tests.get(verdict.nodeid)
        if before is None or not before.is_failure:
            self.tests[verdict.nodeid] = verdict
        return verdict

    def begin_again(self) -> None:
        """The host was lost: all is forgotten but the failures, for no failed test is tried twice."""
        self.tests = {verdict.nodeid: verdict for verdict in self.failures}
        self.collected, self.running = 0, ""

    @property
    def failures(self) -> List[Verdict]:
        """The tests that failed."""
        return [verdict for verdict in self.tests.values() if verdict.is_failure]

    @property
    def skips(self) -> List[Verdict]:
        """The tests that were skipped."""
        return [verdict for verdict in self.tests.values() if verdict.outcome == "skipped"]

    @property
    def promises(self) -> List[Count]:
        """What suites counted."""
        return [count for verdict in self.tests.values() for count in _counts(verdict)]

    @property
    def is_good(self) -> bool:
        """Whether the job came to its end and nothing failed."""
        return self.status == 0 and not self.trouble and not self.failures and not self.xen_failed

    @property
    def is_lost(self) -> bool:
        """Whether there was no host on which the job ended, and nothing had failed before."""
        return self.status == -1 and bool(self.losses) and not self.failures and not self.xen_failed


def has_lost_too_many(outcomes: Iterable[Outcome]) -> bool:
    """Says whether more than one host in ten that a run booted was lost; a run of fewer may lose one."""
    listed = list(outcomes)
    return sum(len(outcome.losses) for outcome in listed) > max(1, sum(outcome.boots for outcome in listed) // 10)


def _counts(verdict: Verdict) -> Iterable[Count]:
    found = (from_property(name, value) for name, value in verdict.properties)
    return (count for count in found if count is not None)


def closing_line(outcomes: Iterable[Outcome]) -> str:
    """Returns the sum in pytest's words."""
    counts = Counter(verdict.outcome for outcome in outcomes for verdict in outcome.tests.values())
    words = [f"{counts[name]} {name}" for name in _SHOWN if name in counts or name in ("passed", "failed")]
    return ", ".join(words)
