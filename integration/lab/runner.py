# SPDX-License-Identifier: MIT
"""One job on an emulated host, with progress, results, and one retry of a lost host."""

import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from integration.lab.errors import LostHostError
from integration.lab.events import Event
from integration.lab.host import EmulatedHost, Limits
from integration.lab.outside import Outside
from integration.lab.qemu import Machine
from integration.promises import Count

#: A host lost to the emulator is booted once more.
ATTEMPTS = 2

_WORDS = {"failed": "FAILED", "error": "ERROR", "xpassed": "XPASS", "xfailed": "XFAIL"}


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


@dataclass
class Outcome:
    """What came out of a job.

    Attributes:
        status: Exit status of the job's command.
        counts: Number of tests by outcome.
        failures: Node id and detail of each test that failed.
        skips: Node id and reason of each test that was skipped.
        lost: Number of hosts lost on the way.
        collected: Number of tests that pytest found.
        running: Node id of the test that began last.
        promises: What suites counted.
    """

    status: int = -1
    counts: Dict[str, int] = field(default_factory=dict)
    failures: List[Tuple[str, str]] = field(default_factory=list)
    skips: List[Tuple[str, str]] = field(default_factory=list)
    lost: int = 0
    collected: int = 0
    running: str = ""
    promises: List[Count] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Counts one test."""
        outcome, nodeid = event.text("outcome"), event.text("nodeid")
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.promises.extend(event.counts("promises"))
        if outcome in ("failed", "error"):
            self.failures.append((nodeid, event.text("detail")))
        elif outcome == "skipped":
            self.skips.append((nodeid, event.text("detail")))

    def closing_line(self) -> str:
        """Returns the sum in pytest's words."""
        shown = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        words = [f"{self.counts.get(name, 0)} {name}" for name in ("passed", "failed")]
        words += [f"{self.counts[name]} {name}" for name in shown[2:] if name in self.counts]
        return ", ".join(words)


class Runner:
    """Boots a machine and follows its job.

    Args:
        work: Scratch directory.
        results: Where result files go.
        limits: Bounds in time.
        tell: Takes each line of progress.
    """

    def __init__(
        self, work: Path, results: Path, limits: Limits, tell: Callable[[str], None] = say
    ) -> None:
        self._work = work
        self._results = results
        self._limits = limits
        self._tell = tell

    def run(self, machine: Machine) -> Outcome:
        """Does the job; a lost host is retried, a failed test never is.

        Raises:
            LostHostError: Every attempt ended with a lost host.
        """
        for attempt in range(1, ATTEMPTS + 1):
            outcome = Outcome(lost=attempt - 1)
            try:
                self._attempt(machine, attempt, outcome)
                return outcome
            except LostHostError as error:
                self._keep_console(attempt)
                self._tell(error.report())
                self._tell(f"the last test to begin: {outcome.running or 'none'}")
                if attempt == ATTEMPTS:
                    raise
                self._tell("booting once more")
        raise AssertionError("unreachable")

    def _attempt(self, machine: Machine, attempt: int, outcome: Outcome) -> None:
        work = self._work / f"attempt-{attempt}"
        work.mkdir()
        started = time.monotonic()
        with EmulatedHost(machine, work, self._limits) as host:
            outside = Outside(host.commands, work)
            for event in host.events():
                if event.kind == "play":
                    outside.take(event)
                self._follow(event, outcome, time.monotonic() - started)
            self._results.mkdir(parents=True, exist_ok=True)
            host.unpack_results(self._results)
        self._keep_console(attempt)

    def _follow(self, event: Event, outcome: Outcome, now: float) -> None:
        if event.kind == "ready":
            self._tell(f"dom0 is up after {now:.1f} s")
        elif event.kind == "collected":
            outcome.collected = int(event.number("count"))
            self._tell(f"{outcome.collected} tests")
        elif event.kind == "begin":
            outcome.running = event.text("nodeid")
        elif event.kind == "test":
            outcome.take(event)
            word = _WORDS.get(event.text("outcome"), event.text("outcome"))
            line = f"{word:<8}{event.text('nodeid')}  {event.number('seconds'):.2f}s"
            reason = event.text("detail") if word == "skipped" else ""
            self._tell(f"{line}  {reason}".rstrip())
        elif event.kind == "output":
            sys.stdout.write(event.text("text"))
            sys.stdout.flush()
        elif event.kind == "expired":
            self._tell(f"the job was killed after {event.number('limit'):g} s")
        elif event.kind == "done":
            outcome.status = int(event.number("status"))
            self._tell(f"done after {now:.1f} s")

    def _keep_console(self, attempt: int) -> None:
        console = self._work / f"attempt-{attempt}" / "console.log"
        if console.exists():
            self._results.mkdir(parents=True, exist_ok=True)
            shutil.copy(console, self._results / "console.log")
