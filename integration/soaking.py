# SPDX-License-Identifier: MIT
"""Thousands of starts and stops, in a process of their own: what it and its guard hold before and after.

Run as a program with the name of a tiny guest of four vcpus; it prints one line of JSON.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any, Dict, Tuple

from integration.drivers import parked, refused_by_xen
from integration.evidence import processes
from integration.promises import IS_BRISK
from xenvcpu.allowances import EVERY_RULE
from xenvcpu.api import Dom0Domain, VcpuContext, open_host
from xenvcpu.errors import HypercallError

#: A process that is younger than its warm-up still grows. Another host is opened and closed every so many cycles.
CYCLES, WARM_UP, STEP, REOPEN = (160, 60, 20, 80) if IS_BRISK else (2000, 200, 200, 200)
#: One cycle after the other, round and round: the vcpus, and whether Xen refuses the last of them.
KINDS: Tuple[Tuple[Tuple[int, ...], bool], ...] = (
    ((1,), False), ((1, 2, 3), False), ((2,), False), ((1, 2, 3), True),
)
#: A look at the domain, as list and show do it, every so many cycles.
LOOK = 10


class Cycles:
    """The cycles on one domain, and what came of them."""

    def __init__(self, domain: Dom0Domain) -> None:
        self._domain = domain
        self.counts: Dict[str, int] = {"starts": 0, "refusals": 0}

    def run(self, number: int) -> None:
        """One cycle."""
        vcpuids, is_refused = KINDS[number % len(KINDS)]
        if is_refused:
            self._refused(vcpuids)
        else:
            assert self._domain.start(vcpuids, parked).vcpuids == vcpuids
            self.counts["starts"] += 1
        assert self._domain.stop(vcpuids) == (() if is_refused else vcpuids)
        if number % LOOK == 0:
            assert [vcpu.is_online for vcpu in self._domain.vcpus()] == [True, False, False, False]
            assert self._domain.record(0)["cr0"] & 1
        if number % REOPEN == 0:
            with open_host("dom0") as host:
                other = host.domain(self._domain.uuid)
                other.start([1], parked)
                other.stop([1])

    def _refused(self, vcpuids: Tuple[int, ...]) -> None:
        def render(vcpuid: int) -> VcpuContext:
            return (refused_by_xen if vcpuid == vcpuids[-1] else parked)(vcpuid)

        try:
            self._domain.start(vcpuids, render, allow=EVERY_RULE)
        except HypercallError as error:
            assert (error.errno, error.restored) == (errno.EINVAL, True), error
            self.counts["refusals"] += 1
        else:
            raise AssertionError(f"Xen took {render(vcpuids[-1])}")


def holdings() -> Dict[str, Any]:
    """What this process and its guard hold, and whether it has children that nobody waited for."""
    gc.collect()
    (guard,) = processes.guards(os.getpid())
    return {
        "process": asdict(processes.footprint(os.getpid())), "guard": asdict(processes.footprint(guard)),
        "pid of the guard": guard, "children": len(processes.children(os.getpid())),
        "blocks": sys.getallocatedblocks(),
    }


def main(name: str) -> None:
    """Runs the cycles; what is held is measured after the warm-up, and then after each ``STEP``."""
    with open_host("dom0") as host:
        domain = host.domain(name)
        assert isinstance(domain, Dom0Domain)
        cycles = Cycles(domain)
        for number in range(WARM_UP):
            cycles.run(number)
        held, began = [holdings()], time.monotonic()
        for number in range(WARM_UP, CYCLES):
            cycles.run(number)
            if (number + 1) % STEP == 0:
                held.append(holdings())
        print(json.dumps({"held": held, "seconds": time.monotonic() - began, **cycles.counts}))


if __name__ == "__main__":
    main(sys.argv[1])
