# SPDX-License-Identifier: MIT
"""What the suites of races, kills and endurance let a process do: starts and stops in a loop.

The vcpus sleep where they start, in the first bytes of the tiny kernel, so that
nothing has to be placed in the guest's memory before.
"""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import Callable, Sequence

from integration import forkedguard
from integration.forked import Task, tell
from integration.guest import layout
from xenvcpu.api import PRESETS, Dom0Domain, Host, VcpuContext, open_host
from xenvcpu.errors import XenVcpuError

INTERRUPTS_ON = 0x202
#: Between the look-up of a domain and its change something may happen to it for up to so many seconds; every second
#: time nothing is waited for, so that a change comes as soon as a toolstack has made the domain.
SPREAD = 0.02
STARTED, STOPPED, LISTED, SHOWN, REFUSED = "started", "stopped", "listed", "shown", "refused"


@lru_cache(maxsize=None)
def parked(vcpuid: int) -> VcpuContext:
    """Returns the context of a vcpu that is online and sleeps; its registers tell who it is."""
    return PRESETS["flat32"]().replace(rip=layout.PARK, rflags=INTERRUPTS_ON, rdi=0x500 + vcpuid)


@lru_cache(maxsize=None)
def refused_by_xen(vcpuid: int) -> VcpuContext:
    """Returns a context that Xen refuses when the rules are overridden."""
    return parked(vcpuid).replace(cr4=1 << 15)


def cycles(which: str, vcpuids: Sequence[int], is_quick: bool = False) -> Task:
    """Starts and stops vcpus for ever, and tells of each how long it took.

    The domain may have been left with these vcpus running.

    Args:
        which: The domain.
        vcpuids: Its vcpus.
        is_quick: Whether the guard is forked, and no program of its own.
    """

    def run() -> None:
        with open_host("dom0") as host:
            if is_quick:
                forkedguard.give(host)
            else:
                forkedguard.give_programs()
            domain = host.domain(which)
            domain.stop(vcpuids)
            while True:
                began = time.monotonic()
                domain.start(vcpuids, parked)
                started = time.monotonic()
                domain.stop(vcpuids)
                tell(start=started - began, cycle=time.monotonic() - began)

    return run


def contest(which: str, vcpuids: Sequence[int], seed: int, is_over: Callable[[], bool]) -> Task:
    """Looks the domain up, starts and stops vcpus until it is over, and tells of each outcome.

    An error that is none of the package's own ends it with a traceback. Its guard is forked.
    """

    def run() -> None:
        dice = random.Random(seed)
        with open_host("dom0") as host:
            forkedguard.give(host)
            while not is_over():
                _outcome(host, STARTED, which, vcpuids, dice)
                _outcome(host, STOPPED, which, vcpuids, dice)

    return run


def readings(which: str, vcpuids: Sequence[int], is_over: Callable[[], bool]) -> Task:
    """Lists the domain's vcpus and reads the registers of each of some, until it is over; tells what was to be had."""

    def run() -> None:
        with open_host("dom0") as host:
            domain = host.domain(which)
            assert isinstance(domain, Dom0Domain)
            while not is_over():
                states = domain.vcpus()
                assert [state.vcpuid for state in states] == [0, *vcpuids] and states[0].is_online
                tell(outcome=LISTED)
                for vcpuid in vcpuids:
                    _reading(domain, vcpuid)

    return run


def _reading(domain: Dom0Domain, vcpuid: int) -> None:
    try:
        record = domain.record(vcpuid)
    except XenVcpuError as error:
        tell(outcome=REFUSED, error=type(error).__name__, text=str(error))
    else:
        assert record["rdi"] == parked(vcpuid).rdi
        tell(outcome=SHOWN)


def _outcome(host: Host, verb: str, which: str, vcpuids: Sequence[int], dice: random.Random) -> None:
    try:
        domain = host.domain(which)
        time.sleep(dice.choice((0.0, SPREAD)) * dice.random())
        if verb == STARTED:
            domain.start(vcpuids, parked)
        else:
            domain.stop(vcpuids)
    except XenVcpuError as error:
        tell(outcome=REFUSED, error=type(error).__name__, text=str(error))
    else:
        tell(outcome=verb)
