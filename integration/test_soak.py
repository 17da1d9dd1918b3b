# SPDX-License-Identifier: MIT
"""Thousands of starts and stops in one process: nothing grows, and the guest notices nothing."""

from __future__ import annotations

import json
import statistics
import sys
from contextlib import closing
from typing import Callable, List, Mapping, Sequence, Tuple

import pytest

from integration import starts
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.limits import run
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
    done = run(argv, LIMIT)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    held = told["held"]
    processes = [[step[who] for step in held] for who in ("process", "guard")]
    changed, pauses = look_at(guest)
    promise("soak", {
        "cycles": told["starts"] + told["refusals"], "starts": told["starts"], "refusals": told["refusals"],
        "ms each": round(1000 * told["seconds"] / (CYCLES - WARM_UP)),
        "KiB grown": max(0, *(one[-1]["kib"] - one[0]["kib"] for one in processes)),
        "descriptors grown": max(step["descriptors"] - one[0]["descriptors"] for one in processes for step in one),
        "registers changed": changed, "pauses left": pauses,
    })
    for one in processes:
        check_growth(one)
    assert statistics.median(steps([step["blocks"] for step in held])) <= BLOCKS_EACH_STEP, held
    assert {(step["pid of the guard"], step["children"]) for step in held} == {(held[0]["pid of the guard"], 1)}
    assert told["starts"] + told["refusals"] == CYCLES
    assert_unharmed(guest)


def steps(values: Sequence[int]) -> List[int]:
    """How much each value is above the one before."""
    return [after - before for before, after in zip(values, values[1:])]


def look_at(guest: TinyGuest) -> Tuple[int, int]:
    """Returns how often the boot vcpu found a register of its own changed, and whether a pause is left."""
    with closing(Control()) as control:
        return guest.watch().errors, int(control.is_paused(guest.domid))


def check_growth(held: Sequence[Mapping[str, int]]) -> None:
    """Fails if a process grew from step to step."""
    first, last = held[0], held[-1]
    assert {step["descriptors"] for step in held} == {first["descriptors"]}, held
    assert last["mappings"] - first["mappings"] <= MAPPINGS, held
    assert statistics.median(steps([step["kib"] for step in held])) <= KIB_EACH_STEP, held
    assert last["kib"] - first["kib"] <= KIB, held


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
