# SPDX-License-Identifier: MIT
"""Every operation that a user can ask for, on every world that it is tried on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.capture import Capture
from xenvcpu.context.presets import flat32
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import VcpuDownError
from xenvcpu.host import SELF, Host
from xenvcpu.keptfile import KeptFile, boot_id
from xenvcpu.left import Left
from xenvcpu.model import build, worlds
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.plan import Plan, make_plan

RELEASES = ("4.14", "4.17", "4.20")
PLACES = (
    *(("pvh", "web", release) for release in RELEASES),
    *(("hvm", "db", release) for release in RELEASES),
    ("busy", "batch", "4.14"), ("busy", "web", "4.17"), ("busy", "batch", "4.20"), ("lab", "nano", "4.17"),
)
"""A world, the domain in it that is driven, and its Xen.

The vcpus of `web` are fresh, and those of `db` initialised by hvmloader on 4.20; `batch` is held paused by somebody
else; `nano` is on AMD.
"""
FEW = (("pvh", "web", "4.17"), ("hvm", "db", "4.20"), ("busy", "batch", "4.14"))
"""One of each."""


_LINUX_PAT = 0x0407050600070106


def context(vcpuid: int) -> VcpuContext:
    """What a vcpu starts with."""
    return flat32(0x100000, 0x80000 + 0x1000 * vcpuid, eax=vcpuid)


def _vcpus_up(*vcpuids: int) -> Callable[[Hypervisor, Domain], None]:
    """Exactly these are up; every other one is as the world has it, or fresh if it was up."""

    def prepare(host: Hypervisor, domain: Domain) -> None:
        for vcpu in domain.vcpus:
            if vcpu.vcpuid not in vcpuids and not vcpu.is_down:
                vcpu.reset()
        for vcpuid in vcpuids:
            vcpu = domain.vcpus[vcpuid]
            if vcpu.is_down:
                build.run(host, domain, vcpuid)
            if host.vendor == "amd":  # where each load resets it
                image = mtrr.LAYOUT.unpack(vcpu.records[Typecode.MTRR])
                vcpu.records[Typecode.MTRR] = image.with_values(msr_pat_cr=_LINUX_PAT).pack()

    return prepare


def _two_initialised(host: Hypervisor, domain: Domain) -> None:
    """vcpu 1 is up; 2 and 3 are initialised, and down: they took themselves away."""
    _vcpus_up(0, 1, 2, 3)(host, domain)
    for vcpuid in (2, 3):
        domain.vcpus[vcpuid].is_down = True


def _asleep(host: Hypervisor, domain: Domain) -> None:
    """vcpu 1 was put down while it slept, so that it is reset before it is started."""
    _vcpus_up(0, 1)(host, domain)
    domain.vcpus[1].is_down = True


def _half_way(host: Hypervisor, domain: Domain) -> None:
    """As a start of vcpu 3 leaves it that could not be put back: vcpu 1 is down, and 3 is up."""
    _vcpus_up(0, 3)(host, domain)


def _reads_a_port(host: Hypervisor, domain: Domain) -> None:
    """The boot vcpu is in the middle of an access; its device model answers when the domain has run on twice."""
    _vcpus_up(0)(host, domain)
    server = domain.ioreq_servers[0]
    server.ask(0)
    server.answers_after = 2


def _kept(host: Hypervisor, domain: Domain) -> KeptFile:
    """What was kept of the same domain: before, vcpus 0 and 1 were up."""
    _vcpus_up(0, 1)(host, domain)
    libraries = ModelLibraries(host)
    with Host("model", libraries) as opened:
        port = opened.dom0
        stream = port.read_context(domain.domid, port.context_buffer(domain.domid))
        capture = Capture(domain.domid, domain.handle, port.release, "start", (3,), stream, reached=(3,))
        return KeptFile("", capture, Left(down=(1,), surplus=(3,)), 0.0, boot_id())


Handle = Any
"""A `Dom0Domain`, or a `GuestDomain` inside."""


_planned: Dict[Tuple[object, ...], Plan] = {}


def _start(*vcpuids: int) -> Callable[[Handle], object]:
    """A start in two steps, as it may be done: the plan makes no calls, and is made once for all runs of a case."""

    def start(domain: Handle) -> object:
        key = domain.info, domain.release, vcpuids
        if key not in _planned:
            _planned[key] = make_plan(domain.info, domain.name, vcpuids, context, domain.release)
        return domain.execute(_planned[key])

    return start


def _start_inside(*vcpuids: int) -> Callable[[Handle], object]:
    return lambda domain: domain.start(vcpuids, context)


def _stop(*vcpuids: int) -> Callable[[Handle], object]:
    return lambda domain: domain.stop(vcpuids)


def _show(domain: Handle) -> None:
    domain.record(0)
    with suppress(VcpuDownError):
        domain.record(1)


def _plan(domain: Handle) -> object:
    return domain.plan((1, 2), context)


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes:
        name: Its name.
        prepare: What the domain is before it.
        act: Carries it out on the domain; None for what is done in the opening of a host and its domains.
        starts: The vcpus that it brings up.
        resets: The vcpus that are initialised and down, and that it makes fresh.
        is_change: Whether it changes the domain.
        is_inside: Whether it is done from inside the guest.
    """

    name: str
    prepare: Callable[[Hypervisor, Domain], None]
    act: Optional[Callable[[Handle], object]]
    starts: Tuple[int, ...] = ()
    resets: Tuple[int, ...] = ()
    is_change: bool = True
    is_inside: bool = False


RECOVER = "recover"
CHANGES = (
    Operation("start 1", _vcpus_up(0), _start(1), (1,)),
    Operation("start 3", _vcpus_up(0), _start(1, 2, 3), (1, 2, 3)),
    Operation("start beside", _vcpus_up(0, 1), _start(2, 3), (2, 3)),
    Operation("stop 1", _vcpus_up(0, 1), _stop(1)),
    Operation("stop 3", _vcpus_up(0, 1, 2, 3), _stop(1, 2, 3)),
    Operation("stop initialised", _two_initialised, _stop(1, 2, 3), resets=(2, 3)),
    Operation(RECOVER, _half_way, None, (1,)),
)
"""What changes a domain from dom0."""
WAITS = Operation("start waits", _reads_a_port, _start(1), (1,))
"""A start that finds the boot vcpu in the middle of an access to an emulated device, and has to try again."""
SLEEPS = Operation("start asleep", _asleep, _start(1), (1,))
"""A start of a vcpu that is initialised, and down in its sleep."""
WITH_DEVICES = (("hvm", "db", "4.17"),)
LOOKS = (
    Operation("open", _vcpus_up(0, 1), None, is_change=False),
    Operation("show", _vcpus_up(0), _show, is_change=False),
    Operation("list", _vcpus_up(0, 1), lambda domain: domain.vcpus(), is_change=False),
    Operation("plan", _vcpus_up(0), _plan, is_change=False),
    Operation("open self", _vcpus_up(0, 1), None, is_change=False, is_inside=True),
    Operation("list self", _vcpus_up(0, 1), lambda domain: domain.vcpus(), is_change=False, is_inside=True),
)
INSIDE = (
    Operation("start self", _vcpus_up(0), _start_inside(1, 2), (1, 2), is_inside=True),
    Operation("stop self", _vcpus_up(0, 1, 2), _stop(1, 2), is_inside=True),
    Operation("up self", _two_initialised, lambda domain: domain.up((2, 3)), is_inside=True),
)


@dataclass(frozen=True)
class Case:
    """An operation on a domain of a world.

    Attributes:
        operation: What is done.
        world: The name of the world.
        domain: The name of the domain.
        release: The Xen.
    """

    operation: Operation
    world: str
    domain: str
    release: str

    def __str__(self) -> str:
        return f"{self.operation.name} {self.domain} {self.release}".replace(" ", "-")

    def _fresh(self) -> Tuple[Hypervisor, Domain]:
        host = worlds.builtin(self.world, self.release)
        domain = host.named(self.domain)
        if self.operation.is_inside:
            domain.pause_count = 0  # nobody inside could do anything
            for vcpu in domain.vcpus[1:]:
                vcpu.reset()
        return host, domain

    def world_before(self) -> Hypervisor:
        """The world before the operation; each call makes a new one, all alike."""
        host, domain = self._fresh()
        self.operation.prepare(host, domain)
        return host

    def libraries(self, host: Hypervisor) -> ModelLibraries:
        """The libraries of the program."""
        return ModelLibraries(host, host.named(self.domain).domid if self.operation.is_inside else 0)

    def find(self, host: Host) -> Handle:
        """The domain; by its name, which takes more calls, where finding it is what is done."""
        if self.operation.is_inside:
            return host.domain(SELF)
        is_known = self.operation.act is not None or self.operation.is_change
        return host.domain(host.libraries.host.named(self.domain).domid if is_known else self.domain)

    @cached_property
    def act(self) -> Callable[[Handle], object]:
        """The operation."""
        if self.operation.name == RECOVER:
            kept = _kept(*self._fresh())
            return lambda domain: domain.recover(kept)
        assert self.operation.act is not None
        return self.operation.act


def cases(operations: Sequence[Operation], places: Sequence[Tuple[str, str, str]]) -> List[Case]:
    """Each operation at each place."""
    return [Case(operation, *place) for operation in operations for place in places]


RARE = [*cases([WAITS], WITH_DEVICES), *cases([SLEEPS], FEW[:1])]
"""What a domain must be in a state of its own for."""
