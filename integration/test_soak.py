# SPDX-License-Identifier: MIT
"""Thousands of starts and stops in one process: nothing grows, and the guest notices nothing."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Tuple

import pytest

from integration import starts
from integration.drivers import parked, refused_by_xen
from integration.evidence import processes
from integration.evidence.control import Control
from integration.evidence.processes import Footprint
from integration.evidence.tiny import TinyGuest
from xenvcpu.api import Dom0Domain, open_host
from xenvcpu.errors import HypercallError

Factory = Callable[..., TinyGuest]
Promise = Callable[[str, Mapping[str, int]], None]

CYCLES = 2000
WARM_UP = 200
#: One cycle after the other, round and round: the vcpus, and whether Xen refuses the last of them.
KINDS: Tuple[Tuple[Tuple[int, ...], bool], ...] = (
    ((1,), False), ((1, 2, 3), False), ((2,), False), ((1, 2, 3), True),
)
#: A look at the domain, as list and show do it, after so many cycles; another host, opened and closed, after so many.
LOOK, REOPEN = 10, 200
#: What the memory of a process may grow by after the warm-up. A leak of a single save stream
#: for each cycle would be over ten MiB.
KIB, BLOCKS = 512, 1000


@dataclass
class Growth:
    """What a process held after the warm-up, and what it holds now."""

    pid: int
    before: Footprint

    def check(self, who: str) -> int:
        """Fails if it grew; returns by how many KiB it did, within the bound."""
        now = processes.footprint(self.pid)
        assert now.descriptors == self.before.descriptors, who
        assert now.mappings <= self.before.mappings, who
        assert now.kib - self.before.kib <= KIB, f"{who}: {self.before} became {now}"
        return max(0, now.kib - self.before.kib)


@dataclass
class Cycles:
    """The cycles, and what came of them."""

    domain: Dom0Domain
    counts: Dict[str, int] = field(default_factory=lambda: {"starts": 0, "refusals": 0})

    def run(self, number: int) -> None:
        """One cycle."""
        vcpuids, is_refused = KINDS[number % len(KINDS)]
        if is_refused:
            self._refused(vcpuids)
        else:
            assert self.domain.start(vcpuids, parked).vcpuids == vcpuids
            self.counts["starts"] += 1
        assert self.domain.stop(vcpuids) == (() if is_refused else vcpuids)
        if number % LOOK == 0:
            assert [vcpu.is_online for vcpu in self.domain.vcpus()] == [True, False, False, False]
            assert self.domain.record(0)["cr0"] & 1
        if number % REOPEN == 0:
            with open_host("dom0") as host:
                other = host.domain(self.domain.uuid)
                other.start([1], parked)
                other.stop([1])

    def _refused(self, vcpuids: Tuple[int, ...]) -> None:
        with pytest.raises(HypercallError) as caught:
            last = vcpuids[-1]
            self.domain.start(
                vcpuids, lambda vcpuid: (refused_by_xen if vcpuid == last else parked)(vcpuid), force=True
            )
        assert (caught.value.errno, caught.value.restored) == (errno.EINVAL, True)
        self.counts["refusals"] += 1


def growths() -> List[Growth]:
    """What this process and its guards hold."""
    gc.collect()
    return [Growth(pid, processes.footprint(pid)) for pid in (os.getpid(), *processes.guards(os.getpid()))]


@pytest.mark.lab_limit(600)
def test_2000_cycles_leave_nothing_behind(tiny_guest: Factory, promise: Promise) -> None:
    """Neither this process nor its guard grows; the guest's registers, its TSC and its pause are as they were."""
    guest = tiny_guest(vcpus=4)
    guest.watch_registers()
    with open_host("dom0") as host, Control() as control:
        domain = host.domain(guest.name)
        assert isinstance(domain, Dom0Domain)
        cycles = Cycles(domain)
        for number in range(WARM_UP):
            cycles.run(number)
        before, blocks, began = growths(), sys.getallocatedblocks(), time.monotonic()
        for number in range(WARM_UP, CYCLES):
            cycles.run(number)
        seconds = time.monotonic() - began
        gc.collect()
        more_blocks = sys.getallocatedblocks() - blocks
        grown = [growth.check("this process" if growth.pid == os.getpid() else "the guard") for growth in before]
        assert more_blocks <= BLOCKS
        assert [growth.pid for growth in growths()] == [growth.pid for growth in before]
        assert not [pid for pid in processes.children(os.getpid()) if not processes.is_running(pid)]
        assert not control.is_paused(guest.domid)
    assert_unharmed(guest)
    promise("soak", {
        "cycles": CYCLES, **cycles.counts, "ms each": round(1000 * seconds / (CYCLES - WARM_UP)),
        "KiB grown": max(grown), "descriptors and mappings grown": 0, "registers changed": 0, "pauses left": 0,
    })


def assert_unharmed(guest: TinyGuest) -> None:
    """The boot vcpu runs on and has seen nothing; another one runs from where it is started."""
    guest.await_beats(5)
    watch = guest.watch()
    assert watch.rounds > 0
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)
    assert "p" not in (guest.state() or "gone")
    with open_host("dom0") as host:
        host.domain(guest.name).start([3], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    assert guest.dump(3)["rdi"] == starts.registers(3, 32)["rdi"]
