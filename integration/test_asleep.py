# SPDX-License-Identifier: MIT
"""Vcpus that were put down while they slept in HLT: for Xen they sleep on, and a load wakes nobody."""

from __future__ import annotations

from contextlib import closing
from typing import Callable, Iterator

import pytest

from integration import starts
from integration.drivers import parked
from integration.evidence.control import Control
from integration.evidence.stubs import StubError, await_true
from integration.evidence.tiny import TinyGuest
from xenvcpu.api import Dom0Domain, Host, open_host
from xenvcpu.capture import Capture
from xenvcpu.keptfile import KeptFile, boot_id
from xenvcpu.left import Left

Factory = Callable[..., TinyGuest]
VCPUOP_DOWN = 2
SLEEPER = 1


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


def put_down_asleep(host: Host, guest: TinyGuest, domain: Dom0Domain) -> None:
    """Vcpu 1 executes HLT with interrupts on, then the boot vcpu puts it down."""

    def is_blocked() -> bool:
        return bool(host.dom0.vcpu(guest.domid, SLEEPER)["blocked"])

    domain.start([SLEEPER], parked)
    await_true(is_blocked, "vcpu 1 does not fall asleep", 30)
    assert guest.vcpu_op(VCPUOP_DOWN, SLEEPER) == 0
    assert not host.dom0.vcpu(guest.domid, SLEEPER)["online"] and is_blocked()


def test_a_vcpu_that_was_put_down_asleep_runs_when_it_is_started(host: Host, tiny_guest: Factory) -> None:
    guest = tiny_guest(vcpus=4)
    domain = starts.drive(host, guest)
    put_down_asleep(host, guest, domain)
    context = starts.context(guest, "flat32", SLEEPER)
    domain.start([SLEEPER], lambda vcpuid: context)
    assert guest.dump(SLEEPER)["rdi"] == context.rdi
    assert guest.online() == [0, SLEEPER]


def test_a_load_alone_would_leave_it_online_and_asleep(host: Host, tiny_guest: Factory) -> None:
    """The test above can fail: as the model has it, such a vcpu runs only after a reset, which it gets here at last."""
    guest = tiny_guest(vcpus=4)
    domain = starts.drive(host, guest)
    put_down_asleep(host, guest, domain)
    context = starts.context(guest, "flat32", SLEEPER)
    plan = domain.plan([SLEEPER], lambda vcpuid: context)
    with closing(Control()) as control, control.paused(guest.domid):
        state = domain.state()
        host.dom0.load_context(guest.domid, plan.calls(state).stream or b"")
    with pytest.raises(StubError):
        guest.dump(SLEEPER, timeout=5)
    assert guest.online() == [0, SLEEPER]
    domain.stop([SLEEPER])
    domain.start([SLEEPER], lambda vcpuid: context)
    assert guest.dump(SLEEPER)["rdi"] == context.rdi


def test_a_recovery_wakes_what_it_brings_back(host: Host, tiny_guest: Factory) -> None:
    """Vcpu 1 was captured awake, fell asleep after that, and was put down."""
    guest = tiny_guest(vcpus=4)
    domain = starts.drive(host, guest)
    context = starts.context(guest, "flat32", SLEEPER)
    domain.start([SLEEPER], lambda vcpuid: context)
    guest.dump(SLEEPER)
    with closing(Control()) as control, control.paused(guest.domid):
        stream = host.dom0.read_context(guest.domid, host.dom0.context_buffer(guest.domid))
    capture = Capture(guest.domid, domain.info.handle, domain.release, "start", (2,), stream, reached=())
    domain.stop([SLEEPER])
    put_down_asleep(host, guest, domain)
    domain.recover(KeptFile("", capture, Left(down=(SLEEPER,)), 0.0, boot_id()))
    guest.stubs.await_count(SLEEPER)
