# SPDX-License-Identifier: MIT
"""Which domains a change from dom0 lets be: another one, one that lives no more, one that is still being built."""

from __future__ import annotations

import dataclasses
from typing import Dict

import pytest

from tests.start.conftest import context, vcpus_as_xen_has_them
from xenvcpu.abi.domain_info import NO_VCPU
from xenvcpu.allowances import Allowances
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainChangedError, DomainError, DomainNotBuiltError, NoSuchDomainError, NoSuchVcpuError
from xenvcpu.model.domain import Shutdown
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries


def test_a_domain_that_has_crashed_is_refused(libraries: ModelLibraries, web: Dom0Domain) -> None:
    libraries.host.crash(libraries.host.named("web"), 0)
    with pytest.raises(DomainError, match="run no more"):
        web.start([1], context)
    assert libraries.host.named("web").vcpus[1].is_down and libraries.host.named("web").pause_count == 0


@pytest.mark.parametrize("change", [
    {"shutdown": Shutdown.reboot}, {"shutdown": Shutdown.suspend}, {"is_dying": True},
], ids=["rebooting", "migrated away", "dying"])
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_domain_that_is_going_away_is_refused_and_let_be(
    libraries: ModelLibraries, web: Dom0Domain, change: Dict[str, object], verb: str
) -> None:
    web.start([1], context)
    model = libraries.host.named("web")
    for name, value in change.items():
        setattr(model, name, value)
    before = vcpus_as_xen_has_them(libraries)
    with pytest.raises(DomainError, match="run no more|no domain"):
        web.start([2], context) if verb == "start" else web.stop([1])
    assert vcpus_as_xen_has_them(libraries) == before and model.pause_count == 0


def test_a_domain_that_is_destroyed_under_the_pause_is_told_as_gone(
    libraries: ModelLibraries, web: Dom0Domain
) -> None:
    def destroyed_first(call: RealCall) -> object:
        del libraries.host.domains[web.domid]
        return call()

    libraries.fail("xc_domain_hvm_setcontext", destroyed_first)
    with pytest.raises(NoSuchDomainError, match="no domain 1") as caught:
        web.start([1], context)
    assert caught.value.restored is None and caught.value.kept is None


def test_another_domain_under_the_same_domid_is_not_touched(web: Dom0Domain, libraries: ModelLibraries) -> None:
    libraries.host.named("web").handle = libraries.host.domains[0].handle.__class__(int=99)
    with pytest.raises(DomainChangedError, match="another domain"):
        web.start([1], context)
    assert libraries.host.named("web").pause_count == 0


def test_a_domain_that_is_being_built_is_told_to_have_no_vcpus_yet(web: Dom0Domain) -> None:
    web.info = dataclasses.replace(web.info, max_vcpu_id=NO_VCPU)
    with pytest.raises(NoSuchVcpuError, match="has no vcpus yet: it is being built, not 1"):
        web.record(1)


def built_so_far(libraries: ModelLibraries) -> None:
    """A toolstack has made the domain and its vcpus, and has not set up the boot vcpu."""
    domain = libraries.host.named("web")
    domain.pause_count = 1
    boot = domain.vcpus[0]
    boot.reset()
    boot.cpu_time = 0


def test_a_domain_without_a_boot_vcpu_yet_is_not_touched(web: Dom0Domain, libraries: ModelLibraries) -> None:
    """The load of its toolstack could come between ours and the look before, and ours would take that vcpu down."""
    built_so_far(libraries)
    with pytest.raises(DomainNotBuiltError, match="still being built.*nothing was touched"):
        web.start([1], context)
    assert "xc_domain_hvm_setcontext" not in libraries.counts


def test_who_builds_a_domain_without_a_toolstack_is_allowed_to_start_its_boot_vcpu(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    built_so_far(libraries)
    assert web.start([0], context, allow=Allowances.of("unbuilt")).vcpuids == (0,)


def test_the_boot_vcpu_of_a_domain_that_has_run_is_started(web: Dom0Domain) -> None:
    web.stop([0], allow=Allowances.of("last"))
    assert web.start([0], context).vcpuids == (0,)
