# SPDX-License-Identifier: MIT
"""A start from inside the guest, through VCPUOP."""

from __future__ import annotations

import errno
from typing import Iterator, List

import pytest

from tests.start.conftest import context
from xenvcpu.context.presets import PRESETS, long64
from xenvcpu.errors import (
    AlreadyInitialisedError, ContextError, HostError, HypercallError, LastVcpuError, NoSuchVcpuError,
    RefusedContextError, RestrictedError, StartError, VcpuOnlineError,
)
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries


@pytest.fixture
def inside(libraries: ModelLibraries) -> ModelLibraries:
    libraries.here = 1
    return libraries


@pytest.fixture
def own(inside: ModelLibraries) -> Iterator[GuestDomain]:
    with Host("guest", inside) as host:
        domain = host.domain("self")
        assert isinstance(domain, GuestDomain)
        yield domain


def test_vcpus_start_through_initialise_and_up(own: GuestDomain, libraries: ModelLibraries) -> None:
    own.start([1, 2], context)
    vcpus = libraries.host.named("web").vcpus
    assert [vcpu.is_down for vcpu in vcpus] == [False, False, False, True]
    assert [vcpu.image["rax"] for vcpu in vcpus[1:3]] == [1, 2]


@pytest.mark.parametrize("name", PRESETS)
def test_both_interfaces_leave_the_same_state(name: str) -> None:
    wanted = PRESETS[name]().replace(rip=0x1000, rsp=0x8000, cr3=0x2000)
    records = []
    for here in (0, 1):
        libraries = ModelLibraries(worlds.pvh(), here)
        with Host("guest" if here else "model", libraries) as host:
            host.domain("self" if here else "web").start([1], lambda vcpuid: wanted)
            record = libraries.host.named("web").vcpus[1].image
            records.append({field: value for field, value in record.values.items() if field != "tsc"})
    assert records[0] == records[1]


def test_one_vcpu_that_was_used_before_costs_no_other_one(own: GuestDomain, libraries: ModelLibraries) -> None:
    own.start([2], context)
    own.stop([2])
    with pytest.raises(AlreadyInitialisedError, match="VCPUOP_initialise vcpu 2: EEXIST"):
        own.start([1, 2], context)
    assert not libraries.host.named("web").vcpus[1].is_initialised
    assert own.start([1], context).vcpuids == (1,)


def test_asking_whether_a_vcpu_is_initialised_changes_nothing(own: GuestDomain, libraries: ModelLibraries) -> None:
    before = [(vcpu.state, vcpu.is_initialised) for vcpu in libraries.host.named("web").vcpus]
    said = libraries.host.console.text
    own.start([1], context)
    own.stop([1])
    assert [vcpu.is_initialised for vcpu in own.vcpus()] == [True, True, False, False]
    after = [(vcpu.state, vcpu.is_initialised) for vcpu in libraries.host.named("web").vcpus]
    assert after[2:] == before[2:] and libraries.host.console.text == said


@pytest.mark.parametrize("release, known", [("4.18", None), ("4.19", False)])
def test_a_vcpu_that_wants_a_vcpu_info_first_is_not_called_fresh(release: str, known: bool | None) -> None:
    with Host("guest", ModelLibraries(worlds.big(release), 1)) as host:
        domain = host.domain("self")
        assert [vcpu.is_initialised for vcpu in domain.vcpus()][31:33] == [False, known]


@pytest.mark.parametrize("after, up, down", [(2, [], []), (3, [], [1]), (4, [], [1, 2]), (5, [1], [2])])
def test_a_start_that_fails_half_way_tells_what_is_up_and_what_is_initialised(
    own: GuestDomain, libraries: ModelLibraries, after: int, up: List[int], down: List[int]
) -> None:
    plan = own.plan([1, 2], context)
    libraries.fail("xencall3", errno.ENOMEM, after=after)
    with pytest.raises(HypercallError) as caught:
        own.execute(plan)
    said = [(vcpuid, "is up") for vcpuid in up] + [(vcpuid, "is initialised and down") for vcpuid in down]
    assert [line.partition(":")[0] for line in caught.value.left] == [f"vcpu {vcpuid} {what}" for vcpuid, what in said]
    assert caught.value.restored is not bool(said)


def test_what_a_start_that_failed_left_initialised_can_still_be_made_to_run(
    own: GuestDomain, libraries: ModelLibraries
) -> None:
    plan = own.plan([1, 2], context)
    libraries.fail("xencall3", errno.ENOMEM, after=4)
    with pytest.raises(HypercallError, match="VCPUOP_up"):
        own.execute(plan)
    assert own.up([1, 2]) == (1, 2)
    assert [vcpu.is_down for vcpu in libraries.host.named("web").vcpus[:3]] == [False] * 3


def test_a_field_that_the_interface_cannot_carry_is_named_before_anything_is_touched(
    own: GuestDomain, libraries: ModelLibraries
) -> None:
    with pytest.raises(ContextError, match="r8 = 0x1 cannot be carried by VCPUOP_initialise"):
        own.start([1], lambda vcpuid: long64(0x1000, 0x8000, 0x2000).replace(r8=1))
    assert not libraries.host.named("web").vcpus[1].is_initialised


def test_a_refused_context_names_its_rule(own: GuestDomain) -> None:
    with pytest.raises(RefusedContextError) as caught:
        own.start([1], lambda vcpuid: context(vcpuid).replace(cs=None))
    assert (caught.value.rule, caught.value.field) == ("null-segment", "cs_ar")


def test_stop_leaves_a_vcpu_initialised_so_that_a_start_is_explained(own: GuestDomain) -> None:
    own.start([1], context)
    assert own.stop([1]) == (1,)
    with pytest.raises(AlreadyInitialisedError, match="initialised already") as caught:
        own.start([1], context)
    assert isinstance(caught.value, FileExistsError) and caught.value.errno == errno.EEXIST


def test_a_vcpu_that_sleeps_is_not_waited_for_and_is_offline_then(own: GuestDomain, libraries: ModelLibraries) -> None:
    """For Xen it stays blocked until an event comes; see vcpu_sleep_nosync."""
    own.start([1], context)
    libraries.calls.clear()
    own.stop([1])
    scan = len(libraries.host.named("web").vcpus) + 1
    down, look = 1, 1
    assert [call.name for call in libraries.calls].count("xencall3") == scan + down + look
    assert own.vcpus()[1].runstate == "offline"


def test_a_stop_that_fails_lets_those_run_on_that_it_had_stopped(own: GuestDomain, libraries: ModelLibraries) -> None:
    own.start([1, 2], context)
    scan = len(libraries.host.named("web").vcpus) + 1
    libraries.fail("xencall3", errno.ENOMEM, after=scan + 1)
    with pytest.raises(HypercallError) as caught:
        own.stop([1, 2])
    assert (caught.value.op, caught.value.restored, caught.value.left) == ("VCPUOP_down", True, ())
    assert [vcpu.is_down for vcpu in libraries.host.named("web").vcpus] == [False, False, False, True]


def test_a_start_inside_that_is_interrupted_tells_what_it_left(own: GuestDomain, libraries: ModelLibraries) -> None:
    plan = own.plan([1, 2], context)
    libraries.fail("xencall3", KeyboardInterrupt(), after=3)
    with pytest.raises(StartError, match="the start was interrupted") as caught:
        own.execute(plan)
    assert caught.value.left[0].startswith("vcpu 1 is initialised and down: `xenvcpu up self 1`")


def test_the_last_vcpu_is_not_stopped_unless_that_is_allowed(own: GuestDomain, libraries: ModelLibraries) -> None:
    with pytest.raises(LastVcpuError, match="powers the domain off"):
        own.stop([0])
    assert not libraries.host.named("web").is_stopped


def test_a_restricted_privcmd_is_explained_with_how_to_allow_it(own: GuestDomain, libraries: ModelLibraries) -> None:
    libraries.fail("xencall3", errno.EPERM)
    with pytest.raises(RestrictedError, match="unrestricted=1"):
        own.start([1], context)


def test_vcpus_are_found_by_asking_until_there_is_none(own: GuestDomain) -> None:
    assert [vcpu.runstate for vcpu in own.vcpus()][1:] == ["offline"] * 3
    assert own.down_vcpus() == (1, 2, 3)
    with pytest.raises(NoSuchVcpuError):
        own.plan([4], context)


def test_a_vcpu_that_is_up_is_refused(own: GuestDomain) -> None:
    with pytest.raises(VcpuOnlineError):
        own.start([0], context)


def test_registers_cannot_be_read_from_inside(own: GuestDomain) -> None:
    with pytest.raises(HostError, match="from dom0 only"):
        own.record(0)


def test_another_domain_cannot_be_driven_from_inside(inside: ModelLibraries) -> None:
    with Host("guest", inside) as host, pytest.raises(HostError, match="use `self`"):
        host.domain("db")


def test_a_vcpu_without_vcpu_info_stops_a_start_before_any_vcpu_is_spent() -> None:
    libraries = ModelLibraries(worlds.big("4.17"), 1)
    with Host("guest", libraries) as host, pytest.raises(HypercallError):
        host.domain("self").start(range(1, 40), context)
    assert not any(vcpu.is_initialised for vcpu in libraries.host.domains[1].vcpus[1:])
