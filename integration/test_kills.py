# SPDX-License-Identifier: MIT
"""SIGKILL at any instant of a start or stop: within a second the guest runs, and nothing is held."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import statistics
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Optional, Tuple

import pytest

from integration.drivers import cycles, parked
from integration.evidence import processes
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.forked import Forked
from integration.promises import IS_BRISK
from xenvcpu.api import open_host

Factory = Callable[..., TinyGuest]
Promise = Callable[[str, Mapping[str, int]], None]

KILLS, GUARD_KILLS = (6, 1) if IS_BRISK else (200, 40)
#: Every so many-th process has a guard that is a program of its own, as everywhere but here; the others
#: have one that is forked, which under emulation is there in a tenth of the time.
PROGRAMS = 10
#: Every so many-th kill comes at any time from the process's first instruction on, not after its first cycle.
EARLY = 10
SEED = 20
#: The promise: so many seconds after the kill the guest runs.
LIMIT = 1.0
#: Where others take the processors, an emulated host stands still for longer than that now and then. Between two looks
#: at the guest pass some milliseconds, and at most so many seconds otherwise: what is more is no time of the host's.
STEP = 0.25
#: And one kill, or one in so many, may be late all the same, but by no more than this.
LATE, PATIENCE = 50, 10.0
UUID = "5afe600d-0000-4000-8000-6b696c6c7300"
VCPUS = (1, 2, 3)
#: What may be online: what was before a start, or what is after it.
WHOLE = ([0], [0, *VCPUS])


@dataclass
class Ledger:
    """One guest, and what the kills did to it."""

    guest: TinyGuest
    control: Control
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    kills: int = 0
    programs: int = 0
    paused: int = 0
    late: int = 0
    lost: List[str] = field(default_factory=list)
    slowest: float = 0.0

    def kill(self, pid: int, guards: List[int]) -> float:
        """Sends the signal to a process or its guard; returns when that was."""
        self.programs += any(map(processes.is_program, guards))
        self.paused += self.control.is_paused(self.guest.domid)
        self.kills += 1
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return began

    def check(self, began: float, left: List[int]) -> None:
        """Notes when the guest runs again, and whether nothing but a whole state is left; brings a lost guest back.

        Args:
            began: When the kill was.
            left: The guards that the process had.
        """
        end = began + PATIENCE
        wrong = [] if self.runs(began) else ["the guest stands still"]
        wrong += [] if processes.await_end(left, end - time.monotonic()) else ["the guard goes on"]
        # A guard that was only just born when the kill came is not among those: it has been sent the lock, and
        # gives it back when it is done.
        wrong += [] if is_lock_freed(end) else ["the lock is held"]
        if self.control.is_paused(self.guest.domid):
            wrong.append("a pause is left")
            self._unpause()
        wrong += [] if beats(self.guest, end) is not None else ["the guest does not go on"]
        online = self.control.online(self.guest.domid, self.guest.vcpus)
        wrong += [] if online in WHOLE else [f"vcpus {online} are online"]
        watch = self.guest.watch()
        wrong += [] if (watch.errors, watch.tsc_back) == (0, 0) else [f"the boot vcpu has seen {watch}"]
        if wrong:
            self.lost.append(f"kill {self.kills}: {', '.join(wrong)}")

    def runs(self, began: float) -> bool:
        """Waits until the guest beats; whether it does, and notes how long after the kill it did."""
        stalled = beats(self.guest, began + PATIENCE)
        if stalled is None:
            return False
        seconds = time.monotonic() - began - stalled
        self.late += seconds > LIMIT
        self.slowest = max(self.slowest, seconds)
        return True

    def _unpause(self) -> None:
        while self.control.is_paused(self.guest.domid):
            self.control.unpause(self.guest.domid)

    def settle(self, promise: Promise, **more: int) -> None:
        """Counts, and fails if a guest was lost."""
        promise("kills", {
            "kills": self.kills, **{name.replace("_", " "): number for name, number in more.items()},
            "with a guard that is a program": self.programs, "inside a pause": self.paused,
            "guests running within 1 s": self.kills - self.late - len(self.lost), "later": self.late,
            "lost": len(self.lost), "at most {} ms": round(1000 * self.slowest),
        })
        if self.lost:
            pytest.fail("\n".join([f"{len(self.lost)} of {self.kills} kills:", *self.lost[:20]]), pytrace=False)
        assert self.programs > 0, "no guard was a program of its own"
        assert self.late <= max(1, self.kills // LATE)
        assert IS_BRISK or self.paused > self.kills // 10, "too few kills came inside a pause to prove anything"
        assert self.guest.watch().rounds > 0


def beats(guest: TinyGuest, end: float) -> Optional[float]:
    """Waits until the boot vcpu has beaten twice.

    Returns:
        For how many seconds the emulated host stood still meanwhile; None if it did not beat twice until then.
    """
    first, looked, stalled = guest.beat(), time.monotonic(), 0.0
    while guest.beat() - first < 2:
        if looked > end:
            return None
        time.sleep(0.005)
        now = time.monotonic()
        stalled += max(0.0, now - looked - STEP)
        looked = now
    return stalled


def is_lock_freed(end: float) -> bool:
    """Whether nobody holds the domain's lock, at once or by then."""
    (path,) = Path("/run/lock/xenvcpu").glob(f"{UUID}*")
    with path.open("rb") as file:
        while time.monotonic() < end:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.005)
    return False


@pytest.fixture
def ledger(tiny_guest: Factory) -> Iterator[Ledger]:
    guest = tiny_guest(vcpus=1 + len(VCPUS), uuid=UUID)
    guest.watch_registers()
    with closing(Control()) as control:
        yield Ledger(guest, control)


def lengths(guest: TinyGuest) -> Tuple[float, float, float]:
    """How long a process takes until its first cycle has ended, and then a start, and a cycle."""
    with open_host("dom0") as host:  # what is imported here, no child has to import
        host.domain(guest.name).start(VCPUS, parked)
    began = time.monotonic()
    with Forked(cycles(guest.name, VCPUS, is_quick=True)) as process:
        process.await_lines(1)
        until_first = time.monotonic() - began
        told = process.await_lines(20)
        guards = processes.guards(process.pid)
    assert processes.await_end(guards, PATIENCE)
    start, cycle = (statistics.median(line[name] for line in told) for name in ("start", "cycle"))
    return until_first, start, cycle


@pytest.mark.lab_limit(1500)
def test_a_killed_process_leaves_the_guest_running(ledger: Ledger, promise: Promise) -> None:
    """Half of the instants lie within a start, the others anywhere in a start and a stop; some before the first."""
    until_first, start, cycle = lengths(ledger.guest)
    for number in range(KILLS):
        with Forked(cycles(ledger.guest.name, VCPUS, is_quick=number % PROGRAMS > 0)) as process:
            if number % EARLY == 1:
                time.sleep(ledger.dice.uniform(0, until_first))
            else:
                process.await_lines(1)
                time.sleep(ledger.dice.uniform(0, start if number % 2 else cycle))
            guards = processes.guards(process.pid)
            began = ledger.kill(process.pid, guards)
            assert process.wait() == -signal.SIGKILL, process.errors()
        ledger.check(began, guards)
    ledger.settle(promise)


@pytest.mark.smoke
@pytest.mark.lab_limit(900)
def test_a_killed_guard_is_done_without_and_replaced(ledger: Ledger, promise: Promise) -> None:
    """Its process gives the pause back and goes on with a new guard; killed later, it is put in order by that one."""
    _, start, cycle = lengths(ledger.guest)
    for number in range(GUARD_KILLS):
        with Forked(cycles(ledger.guest.name, VCPUS, is_quick=number % PROGRAMS > 0)) as process:
            process.await_lines(1)
            time.sleep(ledger.dice.uniform(0, start if number % 2 else cycle))
            (guard,) = processes.guards(process.pid)
            began = ledger.kill(guard, [guard])
            if not ledger.runs(began):
                ledger.lost.append(f"kill {ledger.kills}: without its guard the process left the guest standing still")
            process.await_lines(len(process.told()) + 2)
            (successor,) = processes.guards(process.pid)
            assert successor != guard
            time.sleep(ledger.dice.uniform(0, cycle))
            began = ledger.kill(process.pid, [successor])
            process.wait()
        ledger.check(began, [successor])
    ledger.settle(promise, of_them_of_the_guard=GUARD_KILLS)
