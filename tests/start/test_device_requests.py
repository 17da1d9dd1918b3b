# SPDX-License-Identifier: MIT
"""An access of a vcpu to an emulated device is not cut off by a start: it is waited for, or the start refused."""

from __future__ import annotations

import errno
from typing import Any, Callable, Iterator

import pytest

from tests.start.conftest import context
from xenvcpu.abi import ioreq
from xenvcpu.allowances import Allowances
from xenvcpu.cli.exits import Exit, exit_of
from xenvcpu.deadline import Patience
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DeviceAccessError, HypercallError, LibraryMissingError
from xenvcpu.failuretext import as_dict
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.domain import Domain
from xenvcpu.model.faults import RealCall
from xenvcpu.model.ioreqserver import IoreqServer
from xenvcpu.model.libraries import ModelLibraries

READ = ioreq.encode(ioreq.STATE_READY)
MAP, UNMAP = "xenforeignmemory_map_resource", "xenforeignmemory_unmap_resource"


class Guest:
    """An HVM guest whose boot vcpu runs, and which QEMU serves."""

    def __init__(self, release: str = "4.17", timeout: float = 0.5) -> None:
        self.libraries = ModelLibraries(worlds.hvm(release))
        self.host = Host("model", self.libraries, Patience(timeout))
        self.xen: Domain = self.libraries.host.named("db")
        found = self.host.domain("db")
        assert isinstance(found, Dom0Domain)
        self.domain = found
        self.libraries.calls.clear()

    @property
    def qemu(self) -> IoreqServer:
        return self.xen.ioreq_servers[0]

    def counts(self, name: str) -> int:
        return self.libraries.counts[name]

    def ends_after(self, unpauses: int) -> None:
        """The boot vcpu's access is over when it has run that many times."""
        self.qemu.answers_after = unpauses

    def assert_as_before(self) -> None:
        assert (self.xen.cut_off, self.xen.pause_count) == ([], 0)
        assert [vcpu.vcpuid for vcpu in self.xen.online] == [0]
        assert self.counts("xc_domain_hvm_setcontext") == 0


@pytest.fixture
def guest() -> Iterator[Guest]:
    made = Guest(timeout=60)
    yield made
    made.host.close()
    assert made.libraries.leaks == {}


@pytest.mark.parametrize("state", [ioreq.STATE_READY, ioreq.STATE_INPROCESS, ioreq.STATE_ANSWERED])
@pytest.mark.parametrize("kind", [ioreq.TYPE_PIO, ioreq.TYPE_COPY])
def test_a_start_waits_for_an_access_that_is_under_way(guest: Guest, state: int, kind: int) -> None:
    """An answer that the vcpu has not taken yet counts: it takes it when it runs."""
    guest.qemu.ask(0, ioreq.encode(state, kind))
    guest.ends_after(3)
    assert guest.domain.start([1, 2], context).vcpuids == (1, 2)
    assert guest.xen.cut_off == []
    assert (guest.counts("xc_domain_pause"), guest.counts("xc_domain_unpause")) == (4, 4)


def test_nothing_but_a_look_is_done_in_a_pause_that_finds_one(guest: Guest) -> None:
    guest.qemu.ask(0, READ)
    guest.ends_after(1)
    guest.domain.start([1], context)
    names = [call.name for call in guest.libraries.calls]
    inside = names[names.index("xc_domain_pause") + 1 : names.index("xc_domain_unpause")]
    assert inside == ["xc_domain_getinfolist", "xc_vcpu_getinfo"]


def test_one_that_does_not_end_in_time_is_refused_with_vcpu_rule_and_remedy(guest: Guest) -> None:
    guest.qemu.ask(0, READ)
    said = r"vcpu 0 of domain 1 .*nothing was touched \[device-access\]"
    with pytest.raises(DeviceAccessError, match=said) as caught:
        guest.domain.start([1], context)
    error = caught.value
    assert (error.vcpuid, error.domid, error.rule) == (0, 1, "device-access")
    assert "try again" in error.remedy and "--allow-device-access-loss" in error.remedy
    assert as_dict(error)["remedy"] == error.remedy
    assert exit_of(error) is Exit.FAILED
    assert guest.counts("xc_domain_pause") > 1
    guest.assert_as_before()


def test_the_number_of_tries_is_bounded() -> None:
    guest = Guest(timeout=3600)
    guest.qemu.ask(0, READ)
    with guest.host, pytest.raises(DeviceAccessError, match="200 times"):
        guest.domain.start([1], context)
    guest.assert_as_before()


def test_where_somebody_else_holds_the_domain_paused_it_is_told_at_once(guest: Guest) -> None:
    guest.xen.pause_count = 1
    guest.qemu.ask(0, READ)
    with pytest.raises(DeviceAccessError, match="somebody else holds the domain paused"):
        guest.domain.start([1], context)
    assert (guest.xen.pause_count, guest.xen.cut_off, guest.counts("xc_domain_pause")) == (1, [], 1)


def test_where_that_is_allowed_it_is_cut_off(guest: Guest) -> None:
    guest.qemu.ask(0, READ)
    guest.domain.start([1], context, allow=Allowances.of("device-access-loss"))
    assert (guest.xen.cut_off, guest.counts(MAP)) == ([0], 0)


@pytest.mark.parametrize("access", [
    ioreq.encode(ioreq.STATE_READY, is_read=False), ioreq.encode(ioreq.STATE_READY, ioreq.TYPE_COPY, data_is_ptr=True),
])
def test_a_write_to_a_port_and_what_goes_through_memory_are_not_waited_for(guest: Guest, access: bytes) -> None:
    """The vcpu is done with these when QEMU is."""
    guest.qemu.ask(0, access)
    guest.domain.start([1], context)
    assert guest.counts("xc_domain_pause") == 1


def test_what_a_vcpu_left_behind_that_is_down_is_not_waited_for(guest: Guest) -> None:
    guest.qemu.ask(1, READ)
    guest.domain.start([2], context)
    assert guest.counts("xc_domain_pause") == 1


def test_each_device_model_is_looked_at(guest: Guest) -> None:
    guest.xen.ioreq_servers[7] = IoreqServer()
    guest.xen.ioreq_servers[7].ask(0, READ)
    with pytest.raises(DeviceAccessError):
        guest.domain.start([1], context)
    guest.assert_as_before()


def test_the_pages_are_mapped_before_the_pause_and_unmapped_after_it(guest: Guest) -> None:
    guest.domain.start([1], context)
    names = [call.name for call in guest.libraries.calls]
    places = [index for index, name in enumerate(names) if name == MAP]
    assert len(places) == ioreq.SERVERS and max(places) < names.index("xc_domain_pause")
    assert names.index("xc_domain_unpause") < names.index(UNMAP)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EACCES, errno.ENOMEM])
def test_where_it_cannot_be_seen_the_start_is_refused_unless_that_is_allowed(guest: Guest, number: int) -> None:
    guest.libraries.fail(MAP, number)
    with pytest.raises(DeviceAccessError, match="cannot be seen") as caught:
        guest.domain.start([1], context)
    assert caught.value.vcpuid is None and "--allow-device-access-loss" in caught.value.remedy
    guest.assert_as_before()
    assert guest.counts("xc_domain_pause") == 0
    guest.domain.start([1], context, allow=Allowances.of("device-access-loss"))


@pytest.mark.parametrize("server", [IoreqServer(emulator=9), IoreqServer(is_in_guest=True)])
def test_a_device_model_elsewhere_or_of_old_is_one_that_cannot_be_seen(guest: Guest, server: IoreqServer) -> None:
    guest.xen.ioreq_servers[0] = server
    with pytest.raises(DeviceAccessError, match="cannot be seen"):
        guest.domain.start([1], context)
    guest.assert_as_before()


def test_a_domain_that_has_not_run_is_not_looked_at(guest: Guest) -> None:
    """Its device model may be about to set its pages up, and would find them taken."""
    for vcpu in guest.xen.vcpus:
        vcpu.cpu_time = 0
    guest.domain.start([1], context)
    assert guest.counts(MAP) == 0


def test_one_that_begins_to_run_just_then_is_looked_at_again(guest: Guest) -> None:
    guest.xen.vcpus[0].cpu_time = 0

    def unpaused(call: RealCall) -> Any:
        guest.xen.vcpus[0].cpu_time = 1
        guest.qemu.ask(0, READ)
        return call()

    guest.libraries.fail("pause", unpaused)
    guest.ends_after(2)
    guest.domain.start([1], context)
    assert (guest.xen.cut_off, guest.counts("xc_domain_pause")) == ([], 3)


@pytest.mark.parametrize("release", ["4.7", "4.11", "4.13"])
def test_before_4_14_nothing_is_cut_off_and_nothing_waited_for(release: str) -> None:
    guest = Guest(release)
    guest.qemu.ask(0, READ)
    with guest.host:
        guest.domain.start([1], context)
    assert (guest.xen.cut_off, guest.counts("xc_domain_pause")) == ([], 1)


def test_a_stop_loads_nothing_and_looks_at_nothing(guest: Guest) -> None:
    guest.domain.start([1], context)
    guest.qemu.ask(0, READ)
    guest.libraries.calls.clear()
    assert guest.domain.stop([1]) == (1,)
    assert (guest.xen.cut_off, guest.counts(MAP)) == ([], 0)


@pytest.mark.parametrize("world", [worlds.pvh, worlds.big])
def test_a_pvh_guest_pays_no_call(world: Callable[[], Any]) -> None:
    libraries = ModelLibraries(world())
    with Host("model", libraries) as host:
        host.domains()[0].start([1], context)
    assert not [name for name in libraries.counts if name.startswith("xenforeignmemory")]


def test_a_library_without_the_call_is_told_by_name(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of before Xen 4.11 is."""
    monkeypatch.delattr(type(guest.libraries.xenforeignmemory), MAP)
    with pytest.raises(LibraryMissingError, match="older than that of Xen 4.11"):
        guest.domain.start([1], context)
    guest.assert_as_before()


def test_a_failed_question_for_the_vcpu_leaves_all_as_it_was(guest: Guest) -> None:
    guest.qemu.ask(0, READ)
    guest.libraries.fail("getvcpuinfo", errno.ENOMEM)
    with pytest.raises(HypercallError):
        guest.domain.start([1], context)
    guest.assert_as_before()
