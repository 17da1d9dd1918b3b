# SPDX-License-Identifier: MIT
"""What the suites of races, kills and endurance let a process do: starts and stops in a loop.

The vcpus sleep where they start, in the first bytes of the tiny kernel, so that
nothing has to be placed in the guest's memory before.
"""

from __future__ import annotations

import random
import time
from typing import Callable, Sequence

from integration import forkedguard
from integration.forked import Task, tell
from integration.guest import layout
from xenvcpu.api import PRESETS, Host, VcpuContext, open_host
from xenvcpu.errors import XenVcpuError

INTERRUPTS_ON = 0x202
STARTED, STOPPED, REFUSED = "started", "stopped", "refused"


def parked(vcpuid: int) -> VcpuContext:
    """Returns the context of a vcpu that is online and sleeps; its registers tell who it is."""
    return PRESETS["flat32"]().replace(rip=layout.PARK, rflags=INTERRUPTS_ON, rdi=0x500 + vcpuid)


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

    An error that is none of the package's own ends it with a traceback.
    """

    def run() -> None:
        dice = random.Random(seed)
        with open_host("dom0") as host:
            while not is_over():
                _outcome(host, STARTED, which, vcpuids, dice)
                _outcome(host, STOPPED, which, vcpuids, dice)

    return run


def _outcome(host: Host, verb: str, which: str, vcpuids: Sequence[int], dice: random.Random) -> None:
    try:
        domain = host.domain(which)
        time.sleep(dice.random() * 0.02)
        if verb == STARTED:
            domain.start(vcpuids, parked)
        else:
            domain.stop(vcpuids)
    except XenVcpuError as error:
        tell(outcome=REFUSED, error=type(error).__name__, text=str(error))
    else:
        tell(outcome=verb)
