# SPDX-License-Identifier: MIT
"""A program that carries out one operation on a world, with or without something that goes wrong."""

from __future__ import annotations

import copy
import functools
import gc
from typing import FrozenSet, Iterable, Iterator, NamedTuple, Optional, Tuple

from promises.injections import Fault
from promises.operations import Case
from promises.snapshots import Snapshot, clocks, snapshot
from promises.verdicts import Ending, Lost

from xenvcpu.host import Host
from xenvcpu.model.clock import Clock
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import Call, ModelLibraries


class Run(NamedTuple):
    """What a program has left: the world, what it raised, and the calls that its operation made."""

    world: Snapshot
    error: Optional[BaseException]
    calls: Tuple[Call, ...]


def _clone(domain: Domain) -> Domain:
    """A domain that can be changed without the other one; its memory is one, and is compared all the same."""
    made = copy.copy(domain)
    made.vcpus, made.records = [copy.copy(vcpu) for vcpu in domain.vcpus], dict(domain.records)
    made.ioreq_servers, made.cut_off = copy.deepcopy(domain.ioreq_servers), [*domain.cut_off]
    for vcpu in made.vcpus:
        vcpu.records = dict(vcpu.records)
    return made


def clone(world: Hypervisor) -> Hypervisor:
    """A world of its own, like another."""
    clock = world.clock
    made = Hypervisor(
        world.release, map(_clone, world.domains.values()), vendor=world.vendor, xfeature_mask=world.xfeature_mask,
        features=world.features, clock=Clock(clock.tsc, clock.khz, clock.step),
    )
    made.console.print("a line from before")
    return made


@functools.lru_cache(maxsize=8)
def _world_before(case: Case) -> Hypervisor:
    return case.world_before()


def world_before(case: Case) -> Hypervisor:
    """The world before the operation; each call makes a new one, all alike."""
    return clone(_world_before(case))


@functools.lru_cache(maxsize=8)
def before(case: Case) -> Snapshot:
    """What is in it."""
    return snapshot(_world_before(case))


@functools.lru_cache(maxsize=8)
def done(case: Case) -> Run:
    """The operation as it goes when nothing is wrong."""
    found = next(runs(case, [None]))
    assert found.error is None, f"{case}: {found.error!r}"
    return found


def named(case: Case, vcpuids: Iterable[int]) -> FrozenSet[str]:
    """vcpus of the domain, as a snapshot names them."""
    return frozenset(f"{case.domain}.{vcpuid}" for vcpuid in vcpuids)


def ending(case: Case, found: Run) -> Ending:
    """How a run of it ended."""
    return Ending(before(case), done(case).world, found.world, found.error)


def require_nothing_open(libraries: ModelLibraries, held: dict[str, int], error: Optional[BaseException]) -> None:
    """Everything is given back, but what is held on purpose.

    Raises:
        Lost: It is not.
    """
    if error is not None:
        error.__traceback__ = None  # what its frames hold on to is given back when it is handled
    if libraries.leaks != held:
        gc.collect()
    if libraries.leaks != held:
        raise Lost(f"not given back: {libraries.leaks}, was {held}; {error!r}")


def require_clocks(case: Case, world: Hypervisor) -> None:
    """No TSC of a vcpu that runs went back.

    Raises:
        Lost: One did.
    """
    after = clocks(world)
    back = [vcpu for vcpu, tsc in clocks(_world_before(case)).items() if after.get(vcpu, tsc) < tsc]
    if back:
        raise Lost(f"the TSC of (domain, vcpu) {back[0]} went back")


def opens(case: Case) -> bool:
    """Whether opening the host and finding the domain is the whole operation."""
    return case.operation.act is None and not case.operation.is_change


def runs(case: Case, faults: "list[Fault] | list[None]") -> Iterator[Run]:
    """Run the operation with each fault by itself, each time on a world as before.

    One program does it all, from one opened host, as a long-lived one would: a fault must not spoil what comes after.
    """
    if opens(case):
        yield from (_opening(case, fault) for fault in faults)
        return
    libraries = case.libraries(world_before(case))
    with Host("model", libraries) as host:
        domain = case.find(host)
        held = libraries.leaks
        for fault in faults:
            libraries.host = world_before(case)
            first, error = len(libraries.calls), None
            if fault is not None:
                fault.arm(libraries)
            try:
                case.act(domain)
            except BaseException as raised:
                error = raised
            require_nothing_open(libraries, held, error)
            require_clocks(case, libraries.host)
            yield Run(snapshot(libraries.host), error, tuple(libraries.calls[first:]))
    require_nothing_open(libraries, {}, None)


def _opening(case: Case, fault: Optional[Fault]) -> Run:
    libraries, error = case.libraries(world_before(case)), None
    try:
        with Host("model", libraries) as host:
            if fault is not None:
                fault.arm(libraries)
            case.find(host)
    except BaseException as raised:
        error = raised
    require_nothing_open(libraries, {}, error)
    return Run(snapshot(libraries.host), error, tuple(libraries.calls))
