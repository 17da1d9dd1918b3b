# SPDX-License-Identifier: MIT
"""SIGKILL at any instant of a start or stop: within a second the guest runs, and nothing is held."""

from __future__ import annotations

import signal
import statistics
import time
from contextlib import closing
from typing import Callable, Iterator, Tuple

import pytest

from integration.drivers import cycles, parked
from integration.evidence import processes
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.forked import Forked
from integration.ledger import PATIENCE, UUID, VCPUS, Ledger, Promise
from integration.promises import IS_BRISK
from xenvcpu.api import open_host

Factory = Callable[..., TinyGuest]

KILLS, GUARD_KILLS = (6, 1) if IS_BRISK else (200, 40)
#: Every so many-th process has a guard that is a program of its own, as everywhere but here; the others
#: have one that is forked, which under emulation is there in a tenth of the time.
PROGRAMS = 10
#: Every so many-th kill comes at any time from the process's first instruction on, not after its first cycle.
EARLY = 10


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
            limit = ledger.kill(process.pid, guards)
            assert process.wait() == -signal.SIGKILL, process.errors()
        ledger.check(limit, guards)
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
            ledger.note(ledger.late(ledger.kill(guard, [guard])))
            process.await_lines(len(process.told()) + 2)
            (successor,) = processes.guards(process.pid)
            assert successor != guard
            time.sleep(ledger.dice.uniform(0, cycle))
            limit = ledger.kill(process.pid, [successor])
            process.wait()
        ledger.check(limit, [successor])
    ledger.settle(promise, of_them_of_the_guard=GUARD_KILLS)
