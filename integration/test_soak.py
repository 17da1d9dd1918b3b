# SPDX-License-Identifier: MIT
"""Thousands of starts and stops in one process: nothing grows, and the guest notices nothing."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import closing
from typing import Callable, List, Mapping, Sequence

import pytest

from integration import starts
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.promises import IS_BRISK
from integration.soaking import CYCLES, WARM_UP
from xenvcpu.api import open_host

Factory = Callable[..., TinyGuest]
Promise = Callable[[str, Mapping[str, int]], None]

LIMIT = 900
#: What leaks grows in every step of 200 cycles: in most there must be next to nothing, in KiB and in blocks
#: that Python holds (a few of these are what the measurement itself keeps). A process after few cycles still grows.
KIB_EACH_STEP, BLOCKS_EACH_STEP = (32, 200) if IS_BRISK else (4, 40)
#: What may come on top over all steps, where a heap asks the kernel for more: Python asks for 1 MiB at a time.
KIB, MAPPINGS = 1536, 4


@pytest.mark.lab_limit(LIMIT)
def test_many_cycles_leave_nothing_behind(tiny_guest: Factory, promise: Promise) -> None:
    """Neither the process nor its guard grows; the guest's registers, its TSC and its pause are as they were."""
    guest = tiny_guest(vcpus=4)
    guest.watch_registers()
    argv = [sys.executable, "-m", "integration.soaking", guest.name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    held = told["held"]
    grown = [check_growth([step[who] for step in held]) for who in ("process", "guard")]
    assert statistics.median(steps([step["blocks"] for step in held])) <= BLOCKS_EACH_STEP, held
    assert {(step["pid of the guard"], step["children"]) for step in held} == {(held[0]["pid of the guard"], 1)}
    assert told["starts"] + told["refusals"] == CYCLES
    assert_unharmed(guest)
    promise("soak", {
        "cycles": CYCLES, "starts": told["starts"], "refusals": told["refusals"],
        "ms each": round(1000 * told["seconds"] / (CYCLES - WARM_UP)), "KiB grown": max(grown),
        "descriptors grown": 0, "registers changed": 0, "pauses left": 0,
    })


def steps(values: Sequence[int]) -> List[int]:
    """How much each value is above the one before."""
    return [after - before for before, after in zip(values, values[1:])]


def check_growth(held: Sequence[Mapping[str, int]]) -> int:
    """Fails if a process grew from step to step; returns by how many KiB it did in all."""
    first, last = held[0], held[-1]
    assert {step["descriptors"] for step in held} == {first["descriptors"]}, held
    assert last["mappings"] - first["mappings"] <= MAPPINGS, held
    assert statistics.median(steps([step["kib"] for step in held])) <= KIB_EACH_STEP, held
    assert last["kib"] - first["kib"] <= KIB, held
    return max(0, last["kib"] - first["kib"])


def assert_unharmed(guest: TinyGuest) -> None:
    """The boot vcpu runs on and has seen nothing; another one runs from where it is started."""
    with closing(Control()) as control:
        assert not control.is_paused(guest.domid)
    guest.await_beats(5)
    watch = guest.watch()
    assert watch.rounds > 0
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)
    assert "p" not in (guest.state() or "gone")
    with open_host("dom0") as host:
        host.domain(guest.name).start([3], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    assert guest.dump(3)["rdi"] == starts.registers(3, 32)["rdi"]
