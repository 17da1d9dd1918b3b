# SPDX-License-Identifier: MIT
"""The other domctls: pauses, information, vcpu contexts, and who may make them at all."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from tests.model.machine import Machine, context, cpu, refused
from xenvcpu.abi import guest_context
from xenvcpu.abi.guest_context import VGCF
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.model import build
from xenvcpu.model.domain import Shutdown
from xenvcpu.model.domctl import Caller, Domctl
from xenvcpu.model.vcpuop import Op

CALLS: dict[str, Callable[[Domctl, int], Any]] = {
    "pausedomain": lambda domctl, domid: domctl.pausedomain(domid),
    "unpausedomain": lambda domctl, domid: domctl.unpausedomain(domid),
    "gethvmcontext": lambda domctl, domid: domctl.gethvmcontext(domid, 1 << 24),
    "gethvmcontext_partial": lambda domctl, domid: domctl.gethvmcontext_partial(domid, 2, 0, 1032),
    "sethvmcontext": lambda domctl, domid: domctl.sethvmcontext(domid, b""),
    "setvcpucontext": lambda domctl, domid: domctl.setvcpucontext(domid, 0, None),
    "getvcpucontext": lambda domctl, domid: domctl.getvcpucontext(domid, 0),
    "getvcpuinfo": lambda domctl, domid: domctl.getvcpuinfo(domid, 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_domain_is_esrch(name: str) -> None:
    with refused("ESRCH"):
        CALLS[name](Machine().domctl, 99)


@pytest.mark.parametrize("name", CALLS)
def test_a_guest_may_not(name: str) -> None:
    with refused("EPERM"):
        CALLS[name](Domctl(Machine().host, Caller(1)), 1)


@pytest.mark.parametrize(("release", "answer"), [("4.21", "ESRCH"), ("4.22", "EPERM")])
def test_a_guest_learns_that_a_domain_does_not_exist_before_4_22(release: str, answer: str) -> None:
    with refused(answer):
        Domctl(Machine(release).host, Caller(1)).getvcpuinfo(99, 0)


@pytest.mark.parametrize("name", CALLS)
def test_a_library_of_another_release_is_told_first(name: str) -> None:
    with refused("EACCES"):
        CALLS[name](Domctl(Machine().host, Caller(0, is_matching=False)), 99)


@pytest.mark.parametrize(
    "name", ["pausedomain", "gethvmcontext", "gethvmcontext_partial", "sethvmcontext", "setvcpucontext"]
)
def test_the_callers_own_domain_is_einval(name: str) -> None:
    machine = Machine()
    machine.domain.is_privileged = True
    with refused("EINVAL"):
        CALLS[name](Domctl(machine.host, Caller(1)), 1)


@pytest.mark.parametrize("name", ["gethvmcontext", "gethvmcontext_partial", "sethvmcontext"])
def test_a_pv_domain_has_no_save_stream(name: str) -> None:
    machine = Machine()
    other = build.add_domain(machine.host, "other", 1)
    other.is_privileged = True
    with refused("EINVAL"):
        CALLS[name](Domctl(machine.host, Caller(other.domid)), 0)


class TestPauses:
    """XEN_DOMCTL_pausedomain and _unpausedomain."""

    def test_nest(self) -> None:
        machine = Machine()
        for _ in range(3):
            machine.domctl.pausedomain(1)
        machine.domctl.unpausedomain(1)
        assert machine.domctl.getdomaininfo(1).is_paused

    def test_beyond_255_are_eoverflow(self) -> None:
        machine = Machine()
        for _ in range(255):
            machine.domctl.pausedomain(1)
        with refused("EOVERFLOW"):
            machine.domctl.pausedomain(1)
        assert machine.domain.pause_count == 255

    def test_below_none_are_einval(self) -> None:
        with refused("EINVAL"):
            Machine().domctl.unpausedomain(1)

    def test_leave_the_vcpus_online(self) -> None:
        machine = Machine()
        machine.domctl.pausedomain(1)
        assert machine.domctl.getvcpuinfo(1, 0)["online"] == 1


class TestInformation:
    """getvcpuinfo, getdomaininfo and getdomaininfolist."""

    @pytest.mark.parametrize(("release", "answer"), [("4.7", "EINVAL"), ("4.21", "EINVAL"), ("4.22", "ENOENT")])
    def test_of_an_unknown_vcpu_changed_its_errno_in_4_22(self, release: str, answer: str) -> None:
        with refused(answer):
            Machine(release).domctl.getvcpuinfo(1, 4)

    def test_counts_vcpus_that_are_not_down(self) -> None:
        info = Machine(online=3).domctl.getdomaininfo(1)
        assert (info.nr_online_vcpus, info.vcpu_count, info.is_hvm, info.is_hap) == (3, 4, True, True)

    def test_tells_why_a_domain_is_shut_down(self) -> None:
        machine = Machine()
        machine.domctl.remote_shutdown(1, Shutdown.reboot)
        info = machine.domctl.getdomaininfo(1)
        assert (info.is_shutdown, info.shutdown_reason, info.nr_online_vcpus) == (True, Shutdown.reboot, 1)

    @pytest.mark.parametrize(("release", "found"), [("4.7", 5), ("4.17", 5)])
    def test_of_a_missing_domain_is_that_of_the_next_before_4_18(self, release: str, found: int) -> None:
        machine = Machine(release)
        build.add_domain(machine.host, "other", 1, domid=5)
        assert machine.domctl.getdomaininfo(2).domid == found
        with refused("ESRCH"):
            machine.domctl.getdomaininfo(6)

    def test_of_a_missing_domain_is_esrch_from_4_18(self) -> None:
        machine = Machine("4.18")
        build.add_domain(machine.host, "other", 1, domid=5)
        with refused("ESRCH"):
            machine.domctl.getdomaininfo(2)

    def test_of_all_domains_comes_in_order_from_the_first_asked_for(self) -> None:
        machine = Machine()
        build.add_domain(machine.host, "other", 1, domid=5)
        assert [info.domid for info in machine.domctl.getdomaininfolist(1, 10)] == [1, 5]
        assert [info.domid for info in machine.domctl.getdomaininfolist(0, 2)] == [0, 1]

    def test_of_all_domains_is_for_control_domains(self) -> None:
        with refused("EPERM"):
            Domctl(Machine().host, Caller(1)).getdomaininfolist(0, 10)


class TestReset:
    """XEN_DOMCTL_setvcpucontext with no context."""

    def test_makes_a_vcpu_down_and_uninitialised_and_leaves_its_registers(self) -> None:
        machine = Machine(online=2)
        before = machine.domain.vcpus[1].state
        machine.domctl.setvcpucontext(1, 1, None)
        vcpu = machine.domain.vcpus[1]
        assert (vcpu.is_initialised, vcpu.is_down, vcpu.state) == (False, True, before)

    def test_makes_initialise_work_again(self) -> None:
        machine = Machine(online=2)
        machine.domctl.setvcpucontext(1, 1, None)
        assert machine.initialise(1, context()) == 0

    def test_of_an_unknown_vcpu_is_einval(self) -> None:
        with refused("EINVAL"):
            Machine().domctl.setvcpucontext(1, 4, None)

    def test_of_the_last_vcpu_does_not_power_the_domain_off(self) -> None:
        machine = Machine()
        machine.domctl.setvcpucontext(1, 0, None)
        assert (machine.online(), machine.domain.shutdown) == ([], None)


class TestContext:
    """setvcpucontext and getvcpucontext."""

    def test_of_a_vcpu_that_is_not_initialised_is_enodata(self) -> None:
        with refused("ENODATA"):
            Machine().domctl.getvcpucontext(1, 1)

    def test_tells_registers_and_whether_the_vcpu_is_online(self) -> None:
        machine = Machine()
        machine.load(cpu(0, 0x4000, r8=8, fs_base=77, gs_base=88, cr2=99))
        got = machine.domctl.getvcpucontext(1, 0)
        names = ("user_regs.rip", "user_regs.r8", "fs_base", "gs_base_kernel", "ctrlreg[2]")
        assert [got[name] for name in names] == [0x4000, 8, 77, 88, 99]
        assert got["flags"] & VGCF.online

    def test_of_a_vcpu_that_is_down_but_initialised_can_be_read(self) -> None:
        machine = Machine(online=2)
        machine.op(Op.down, 1)
        assert not machine.domctl.getvcpucontext(1, 1)["flags"] & VGCF.online

    @pytest.mark.parametrize(("release", "is_taken"), [("4.17", True), ("4.18", False)])
    def test_with_wide_debug_registers_is_refused_from_4_18(self, release: str, is_taken: bool) -> None:
        machine = Machine(release)
        wide = guest_context.LAYOUT.image({"debugreg[7]": 1 << 32})
        if is_taken:
            machine.domctl.setvcpucontext(1, 1, wide)
        else:
            with refused("EINVAL"):
                machine.domctl.setvcpucontext(1, 1, wide)

    def test_replaces_the_vm_assists_of_the_domain_through_vcpu_0(self) -> None:
        machine = Machine()
        machine.domain.vm_assist = 32
        machine.domctl.setvcpucontext(1, 0, guest_context.LAYOUT.image({"flags": VGCF.online}))
        assert machine.domain.vm_assist == 0
        with refused("EINVAL"):
            machine.domctl.setvcpucontext(1, 0, guest_context.LAYOUT.image({"vm_assist": 1}))


def test_remote_shutdown_wants_a_known_reason() -> None:
    with refused("EINVAL"):
        Machine().domctl.remote_shutdown(1, 99)


def test_every_hypercall_is_counted_and_takes_time() -> None:
    machine = Machine()
    before = machine.host.clock.tsc
    machine.domctl.pausedomain(1)
    machine.op(Op.is_up, 0)
    assert machine.host.hypercalls == {"pausedomain": 1, "VCPUOP_is_up": 1}
    assert machine.host.clock.tsc == before + 2 * machine.host.clock.step


def test_a_get_changes_nothing_of_the_host() -> None:
    machine = Machine()
    before = machine.host.changes
    machine.domctl.getvcpuinfo(1, 0)
    machine.domctl.gethvmcontext_partial(1, Typecode.CPU, 0, 1032)
    machine.save()
    assert machine.host.changes == before
