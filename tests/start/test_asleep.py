# SPDX-License-Identifier: MIT
"""A vcpu that was put down while it slept in HLT: Xen keeps that it sleeps, and a load alone does not wake it."""

from __future__ import annotations

import errno

import pytest

from tests.start.conftest import context
from xenvcpu.capture import Capture
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import HypercallError
from xenvcpu.host import Host
from xenvcpu.keptfile import KeptFile, boot_id
from xenvcpu.left import Left
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.vcpu import Vcpu

RESET, LOAD = "xc_vcpu_setcontext", "xc_domain_hvm_setcontext"


@pytest.fixture
def asleep(web: Dom0Domain, libraries: ModelLibraries) -> Vcpu:
    """vcpu 1: it has run, slept, and was put down by another one."""
    web.start([1], context)
    with Host("model", ModelLibraries(libraries.host, here=web.domid)) as inside:
        inside.domain("self").stop([1])
    vcpu = libraries.host.named("web").vcpus[1]
    assert (vcpu.is_initialised, vcpu.is_down, vcpu.is_blocked) == (True, True, True)
    libraries.calls.clear()
    return vcpu


def changes(libraries: ModelLibraries) -> list[str]:
    return [call.name for call in libraries.calls if call.name in (RESET, LOAD)]


def test_it_runs_when_it_is_started(web: Dom0Domain, libraries: ModelLibraries, asleep: Vcpu) -> None:
    runs = asleep.runs
    assert web.start([1, 2], context).vcpuids == (1, 2)
    assert asleep.runs == runs + 1
    assert changes(libraries) == [RESET, LOAD]


def test_one_that_took_itself_down_needs_no_reset(web: Dom0Domain, libraries: ModelLibraries, asleep: Vcpu) -> None:
    asleep.is_blocked = False
    web.start([1], context)
    assert changes(libraries) == [LOAD]


def test_a_start_that_fails_then_says_that_it_is_fresh(
    web: Dom0Domain, libraries: ModelLibraries, asleep: Vcpu
) -> None:
    libraries.fail(LOAD, errno.ENOMEM)
    with pytest.raises(HypercallError) as caught:
        web.start([1], context)
    assert caught.value.left == ("vcpu 1 had been initialised and down, and is fresh now",)
    assert not asleep.is_initialised


def test_a_recovery_wakes_it_too(web: Dom0Domain, host: Host, libraries: ModelLibraries) -> None:
    """What is brought back had been awake, or was stopped in its sleep and looks why it woke."""
    web.start([1], context)
    stream = host.dom0.read_context(web.domid, host.dom0.context_buffer(web.domid))
    capture = Capture(web.domid, web.info.handle, web.release, "start", (2,), stream, reached=())
    vcpu = libraries.host.named("web").vcpus[1]
    vcpu.is_down, runs = True, vcpu.runs
    web.recover(KeptFile("", capture, Left(down=(1,)), 0.0, boot_id()))
    assert vcpu.runs == runs + 1
