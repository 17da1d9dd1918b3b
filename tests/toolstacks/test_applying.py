# SPDX-License-Identifier: MIT
"""A domain is made as it was declared, once."""

from __future__ import annotations

import errno
from typing import Iterator

import pytest

from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, HypercallError, RefusedContextError
from xenvcpu.host import Host, open_host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.toolstacks.applying import apply, foresee, foresee_stop, judge, stop
from xenvcpu.toolstacks.declaration import Declaration, DeclarationError
from xenvcpu.toolstacks.libvirt.begin import begin

CONTEXT = '{"preset": "flat32", "eip": "0x100000 + vcpuid"}'


@pytest.fixture
def host() -> Iterator[Host]:
    with open_host("model:pvh") as opened:
        yield opened


@pytest.fixture
def web(host: Host) -> Dom0Domain:
    return host.domains()[0]


def online(domain: Dom0Domain) -> list[int]:
    return [vcpu.vcpuid for vcpu in domain.vcpus() if vcpu.is_online]


def test_the_declared_vcpus_are_started(web: Dom0Domain) -> None:
    change = apply(web, Declaration(CONTEXT, "1,3"))
    assert online(web) == [0, 1, 3] and web.record(3)["rip"] == 0x100003
    assert (change.changed, change.start, change.stop) == (True, (1, 3), ())
    assert change.report is not None and change.report.kept == (0,)


def test_a_second_time_nothing_changes(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT))
    change = apply(web, Declaration(CONTEXT))
    assert (change.changed, change.report, change.vcpuids) == (False, None, (1, 2, 3))


def test_only_those_that_are_down_start(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT, "2"))
    assert apply(web, Declaration(CONTEXT)).start == (1, 3)


def test_what_is_foreseen_is_what_happens_and_touches_nothing(web: Dom0Domain) -> None:
    foreseen = foresee(web, Declaration(CONTEXT, "1-2"))
    assert online(web) == [0]
    assert foreseen.as_dict() == apply(web, Declaration(CONTEXT, "1-2")).as_dict()


def test_with_reset_those_that_run_start_anew(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT, "1"))
    change = apply(web, Declaration(CONTEXT, "1-2", {"eip": "0x9000"}, reset=True))
    assert (change.stop, change.start) == ((1,), (1, 2))
    assert web.record(1)["rip"] == 0x9000


def test_with_reset_a_refused_context_stops_nothing(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT, "1"))
    with pytest.raises(RefusedContextError):
        apply(web, Declaration(CONTEXT, "1", {"cr0": "0x80000000"}, reset=True))
    assert online(web) == [0, 1]


def test_a_reset_that_xen_refuses_tells_of_the_vcpus_that_it_stopped(host: Host, web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT, "1-2"))
    host.libraries.fail("setcontext", errno.ENOMEM)
    with pytest.raises(HypercallError) as caught:
        apply(web, Declaration(CONTEXT, "1-3", reset=True))
    assert online(web) == [0] and caught.value.restored is False
    assert caught.value.left == ("vcpus 1-2 were stopped to be started anew, and are down",)


def test_a_domain_has_begun_once_a_declared_secondary_vcpu_runs(web: Dom0Domain) -> None:
    declared = Declaration(CONTEXT, "1")
    assert not foresee(web, declared).has_begun
    apply(web, Declaration(CONTEXT, "2"))
    assert not foresee(web, declared).has_begun
    apply(web, declared)
    assert foresee(web, declared).has_begun


def test_a_domain_whose_software_took_a_declared_vcpu_down_has_begun(world: str) -> None:
    declared = Declaration(CONTEXT, "1")
    with open_host(f"{world}@web") as inside:
        me = inside.domain("self")
        apply(me, declared)
        me.stop([1])
    with open_host(world) as host:
        web = host.domain("web")
        assert foresee(web, declared).has_begun and begin(host, web.info.handle, declared) is None
        assert online(web) == [0] and not foresee(web, Declaration(CONTEXT, "2")).has_begun


def test_inside_a_guest_it_starts_but_does_not_reset() -> None:
    with open_host("model:pvh@web") as host:
        me = host.domain("self")
        assert apply(me, Declaration(CONTEXT, "1")).start == (1,)
        with pytest.raises(DomainError, match="from dom0 only"):
            apply(me, Declaration(CONTEXT, "1", reset=True))


def test_judging_touches_nothing_and_refuses_what_a_start_would(web: Dom0Domain) -> None:
    fine, wrong = Declaration(CONTEXT, "1"), Declaration(CONTEXT, "1", {"cr0": "0x80000000"})
    assert [finding.rule for _, finding in judge(web, fine, foresee(web, fine))] == ["no-stack"]
    with pytest.raises(RefusedContextError):
        judge(web, wrong, foresee(web, wrong))
    assert online(web) == [0]


def test_nothing_is_judged_where_nothing_would_start(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT, "1"))
    wrong = Declaration(CONTEXT, "1", {"cr0": "0x80000000"})
    assert judge(web, wrong, foresee(web, wrong)) == ()


def test_to_look_ahead_no_registers_are_read(host: Host, web: Dom0Domain) -> None:
    before = host.libraries.counts.copy()
    foresee(web, Declaration(CONTEXT))
    foresee_stop(web, "all")
    asked = host.libraries.counts - before
    assert asked["xc_vcpu_getinfo"] and not [name for name in asked if "hvm_getcontext" in name or "pause" in name]


def test_stopping_is_foreseen_and_then_done_once(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT))
    foreseen = foresee_stop(web, "1-2")
    assert (foreseen.changed, foreseen.stop, foreseen.start) == (True, (1, 2), ()) and online(web) == [0, 1, 2, 3]
    stop(web, foreseen)
    assert online(web) == [0, 3] and not foresee_stop(web, "1-2").changed


def test_all_that_is_stopped_is_all_but_the_boot_vcpu(web: Dom0Domain) -> None:
    apply(web, Declaration(CONTEXT))
    assert foresee_stop(web, "all").stop == (1, 2, 3)


def test_a_vcpu_that_is_down_and_initialised_is_made_fresh_from_dom0_only(world: str) -> None:
    with open_host(f"{world}@web") as inside:
        me = inside.domain("self")
        apply(me, Declaration(CONTEXT, "1"))
        me.stop([1])
        assert not foresee_stop(me, "1").changed
    with open_host(world) as host:
        web = host.domain("web")
        assert stop(web, foresee_stop(web, "1")).stop == (1,)
        assert not foresee_stop(web, "1").changed


@pytest.mark.parametrize(("vcpus", "says"), [("4", "vcpus 0 to 3, not 4"), ("x", "is not a set of vcpus")])
def test_vcpus_to_be_stopped_that_are_none_are_refused(web: Dom0Domain, vcpus: str, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        foresee_stop(web, vcpus)


def test_all_leaves_out_what_the_toolstack_has_offline_and_a_name_does_not() -> None:
    for named, started, word in (("all", (1,), "left so"), ("1-2", (1, 2), "does not use them")):
        world = worlds.pvh()
        world.named("web").offline = [2, 3]
        with Host("model", ModelLibraries(world)) as host:
            change = apply(host.domains()[0], Declaration(CONTEXT, named))
        assert change.start == started and word in change.notes[0]
