# SPDX-License-Identifier: MIT
"""What kills did to a guest: whether each time it ran again soon, and nothing was held."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Mapping

import pytest

from integration.evidence import processes
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.limits import Limit
from integration.promises import IS_BRISK

Promise = Callable[[str, Mapping[str, int]], None]

SEED = 20
#: The promise: so many seconds after each kill the guest runs. They are the host's: of an emulated one those in which
#: QEMU had a processor or wanted none.
LIMIT = 1.0
#: For so long whatever is late is waited for, to say what it is.
PATIENCE = 10.0
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
    prompt: int = 0
    lost: List[str] = field(default_factory=list)
    slowest: float = 0.0

    def kill(self, pid: int, guards: List[int]) -> Limit:
        """Sends the signal to a process or its guard; returns the limit that begins with it."""
        self.programs += any(map(processes.is_program, guards))
        self.paused += self.control.is_paused(self.guest.domid)
        self.kills += 1
        limit = Limit(LIMIT)
        os.kill(pid, signal.SIGKILL)
        return limit

    def check(self, limit: Limit, left: List[int]) -> None:
        """Notes when the guest runs again, and whether nothing but a whole state is left; brings a lost guest back.

        Args:
            limit: What began with the kill.
            left: The guards that the process had.
        """
        wrong = self.late(limit)
        wrong += [] if processes.await_end(left, PATIENCE) else ["the guard goes on"]
        # A guard that was only just born when the kill came is not among those: it has been sent the lock, and
        # gives it back when it is done.
        wrong += [] if is_lock_freed() else ["the lock is held"]
        if self.control.is_paused(self.guest.domid):
            wrong.append("a pause is left")
            self._unpause()
        wrong += [] if beats(self.guest) else ["the guest does not go on"]
        online = self.control.online(self.guest.domid, self.guest.vcpus)
        wrong += [] if online in WHOLE else [f"vcpus {online} are online"]
        watch = self.guest.watch()
        wrong += [] if (watch.errors, watch.tsc_back) == (0, 0) else [f"the boot vcpu has seen {watch}"]
        self.note(wrong)

    def note(self, wrong: List[str]) -> None:
        """Counts a guest as lost if anything is wrong."""
        if wrong:
            self.lost.append(f"kill {self.kills}: {', '.join(wrong)}")

    def late(self, limit: Limit) -> List[str]:
        """Waits until the guest beats, and notes how long after the kill it did; returns what is wrong with that."""
        if not beats(self.guest):
            return ["the guest stands still"]
        seconds = limit.elapsed
        self.slowest = max(self.slowest, seconds)
        if seconds > LIMIT:
            return [f"the guest stood still for {seconds:.2f} s"]
        self.prompt += 1
        return []

    def _unpause(self) -> None:
        while self.control.is_paused(self.guest.domid):
            self.control.unpause(self.guest.domid)

    def settle(self, promise: Promise, **more: int) -> None:
        """Counts, and fails if a guest was lost."""
        promise("kills", {
            "kills": self.kills, **{name.replace("_", " "): number for name, number in more.items()},
            "with a guard that is a program": self.programs, "inside a pause": self.paused,
            "guests running within 1 s": self.prompt, "at most {} ms": round(1000 * self.slowest),
            "lost": len(self.lost),
        })
        if self.lost:
            pytest.fail("\n".join([f"{len(self.lost)} of {self.kills} kills:", *self.lost[:20]]), pytrace=False)
        assert self.programs > 0, "no guard was a program of its own"
        assert self.prompt == self.kills
        assert IS_BRISK or self.paused > self.kills // 10, "too few kills came inside a pause to prove anything"
        assert self.guest.watch().rounds > 0


def beats(guest: TinyGuest) -> bool:
    """Waits until the boot vcpu has beaten twice; whether it does."""
    first, limit = guest.beat(), Limit(PATIENCE)
    while guest.beat() - first < 2:
        if limit.passed:
            return False
        time.sleep(0.005)
    return True


def is_lock_freed() -> bool:
    """Whether nobody holds the domain's lock, at once or soon."""
    limit = Limit(PATIENCE)
    (path,) = Path("/run/lock/xenvcpu").glob(f"{UUID}*")
    with path.open("rb") as file:
        while not limit.passed:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.005)
    return False
