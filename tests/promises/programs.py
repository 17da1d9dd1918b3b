# SPDX-License-Identifier: MIT
"""A program that carries out one operation on a world, with or without something that goes wrong."""

from __future__ import annotations

import functools
import gc
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Tuple

from promises.injections import Fault
from promises.operations import Case
from promises.snapshots import Snapshot, clocks, snapshot
from promises.verdicts import Ending, Lost, Verdict, judge

from xenvcpu.host import Host
from xenvcpu.model.libraries import Call, ModelLibraries


class Run(NamedTuple):
    """What a program has left: the world, what it raised, and the calls that its operation made."""

    world: Snapshot
    error: Optional[BaseException]
    calls: Tuple[Call, ...]


def run(case: Case, fault: Optional[Fault] = None) -> Run:
    """Run a program to its end.

    Raises:
        Lost: It has left something open, or turned back a clock.
    """
    world = case.world_before()
    before = clocks(world)
    libraries = case.libraries(world)
    error, calls = _act(case, libraries, fault)
    if error is not None:
        # What it holds on to is given back when nobody handles it any more.
        error.__traceback__ = None
    if libraries.leaks:
        gc.collect()
    if libraries.leaks:
        raise Lost(f"not given back: {libraries.leaks} after {error!r}")
    after = clocks(world)
    if any(after[vcpu] < tsc for vcpu, tsc in before.items() if vcpu in after):
        raise Lost("a TSC went back")
    return Run(snapshot(world), error, calls)


def _act(
    case: Case, libraries: ModelLibraries, fault: Optional[Fault]
) -> Tuple[Optional[BaseException], Tuple[Call, ...]]:
    is_opening = case.operation.act is None and not case.operation.is_change
    first = 0
    try:
        with Host("model", libraries) as host:
            if is_opening and fault is not None:
                fault.arm(libraries)
            domain = case.find(host)
            if is_opening:
                return None, tuple(libraries.calls)
            first = len(libraries.calls)
            if fault is not None:
                fault.arm(libraries)
            case.act(domain)
            return None, tuple(libraries.calls[first:])
    except BaseException as error:
        return error, tuple(libraries.calls[first:])


@functools.lru_cache(maxsize=None)
def faultless(case: Case) -> Run:
    """The operation as it goes when nothing is wrong."""
    found = run(case)
    assert found.error is None, f"{case}: {found.error!r}"
    return found


@functools.lru_cache(maxsize=None)
def before(case: Case) -> Snapshot:
    """The world before the operation."""
    return snapshot(case.world_before())


def starting(case: Case) -> FrozenSet[str]:
    """The vcpus that the operation brings up."""
    return frozenset(f"{case.domain}.{vcpuid}" for vcpuid in case.operation.vcpuids)


def sweep(case: Case, faults: List[Fault], *, is_exact: bool = True) -> Dict[str, int]:
    """Run the operation with each fault by itself, and count how it ended.

    Raises:
        Lost: With some of them it was lost: how many, and the first.
    """
    counts = {verdict.value: 0 for verdict in Verdict}
    lost: List[str] = []
    for fault in faults:
        try:
            found = run(case, fault)
            ending = Ending(before(case), faultless(case).world, found.world, found.error)
            counts[judge(ending, fault.raises, vcpus=starting(case), is_exact=is_exact).value] += 1
        except Lost as error:
            lost.append(f"{fault.name}: {error}")
    if lost:
        raise Lost(f"{case}: {len(lost)} of {len(faults)} faults, first {lost[0]}")
    return {"faults": len(faults), **{name: number for name, number in counts.items() if number}, "lost": 0}
