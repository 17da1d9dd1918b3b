# SPDX-License-Identifier: MIT
"""One job on an emulated host, with progress, results, and one retry of a lost host."""

import shutil
import sys
import time
from pathlib import Path
from typing import Callable, Mapping

from integration.lab.errors import LostHostError, XenFailedError
from integration.lab.events import Event
from integration.lab.host import EmulatedHost, Limits
from integration.lab.outcome import Outcome
from integration.lab.outside import Outside
from integration.lab.qemu import Machine
from integration.lab.stretches import Stretch

#: A host lost to the emulator is booted once more.
ATTEMPTS = 2

_WORDS = {"failed": "FAILED", "error": "ERROR", "xpassed": "XPASS", "xfailed": "XFAIL"}


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


class Runner:
    """Boots a machine and follows its job.

    Args:
        work: Scratch directory.
        results: Where result files go.
        limits: Bounds in time.
        tell: Takes each line of progress.

    Attributes:
        outcome: What came out so far.
    """

    def __init__(
        self, work: Path, results: Path, limits: Limits, tell: Callable[[str], None] = say
    ) -> None:
        self._work = work
        self._results = results
        self._limits = limits
        self._tell = tell
        self.outcome = Outcome()

    def run(self, machine: Machine) -> Outcome:
        """Does the job; a lost host is retried, a failed test or a failed Xen never is.

        Raises:
            LostHostError: Every attempt ended with a lost host.
            XenFailedError: Xen itself failed.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self.outcome.boots += 1
            try:
                self._attempt(machine, attempt)
                return self.outcome
            except XenFailedError as error:
                self.outcome.xen_failed = error.report()
                self._tell(str(error))
                self._tell(f"the last test to begin: {self.outcome.running or 'none'}")
                raise
            except LostHostError as error:
                self.outcome.losses.append(error.reason)
                self._tell(error.report())
                self._tell(f"the last test to begin: {self.outcome.running or 'none'}")
                if attempt == ATTEMPTS:
                    raise
                self.outcome.begin_again()
                self._tell("booting once more")
            finally:
                self._keep_console(attempt)
        raise AssertionError("unreachable")

    def _attempt(self, machine: Machine, attempt: int) -> None:
        work = self._work / f"attempt-{attempt}"
        work.mkdir()
        started = time.monotonic()
        with EmulatedHost(machine, work, self._limits) as host:
            outside = Outside(host.commands, host.page, work, host.limit)
            try:
                for event in host.events():
                    if event.kind == "play":
                        outside.take(event)
                    self._follow(event, time.monotonic() - started)
                    if event.kind == "done":
                        self._results.mkdir(parents=True, exist_ok=True)
                        host.unpack_results(self._results)
            finally:
                self.outcome.hours.clock += time.monotonic() - started
                self.outcome.hours.waited += host.waited
                for fields in host.stretched:
                    self._keep_stretch(fields)

    def _keep_stretch(self, fields: Mapping[str, object]) -> None:
        """The last word on a limit counts; its name is that of no other host's."""
        self.outcome.stretched[f"{self.outcome.boots}: {fields.get('key')}"] = Stretch.of(fields)

    def _follow(self, event: Event, now: float) -> None:
        if event.kind == "ready":
            self._tell(f"dom0 is up after {now:.1f} s")
        elif event.kind == "collected":
            self.outcome.collected = int(event.number("count"))
            self._tell(f"{self.outcome.collected} tests")
        elif event.kind == "begin":
            self.outcome.running = event.text("nodeid")
        elif event.kind == "test":
            verdict = self.outcome.take(event)
            word = _WORDS.get(verdict.outcome, verdict.outcome)
            reason = verdict.detail if word == "skipped" else ""
            self._tell(f"{word:<8}{verdict.nodeid}  {verdict.seconds:.2f}s  {reason}".rstrip())
        elif event.kind == "output":
            sys.stdout.write(event.text("text"))
            sys.stdout.flush()
        elif event.kind == "stretched":
            self._keep_stretch({"test": self.outcome.running, **event.fields})
        elif event.kind == "expired":
            self._tell(f"the job was killed after {event.number('limit'):g} s")
        elif event.kind == "done":
            self.outcome.status = int(event.number("status"))
            self._tell(f"done after {now:.1f} s")

    def _keep_console(self, attempt: int) -> None:
        console = self._work / f"attempt-{attempt}" / "console.log"
        if console.exists():
            self._results.mkdir(parents=True, exist_ok=True)
            name = "console.log" if attempt == 1 else f"console-{attempt}.log"
            shutil.copy(console, self._results / name)
