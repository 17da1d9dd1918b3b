# SPDX-License-Identifier: MIT
"""A start from dom0, seen from Xen's side."""

from __future__ import annotations

import errno
import signal
from typing import Callable, List

import pytest

from tests.start.conftest import context, vcpus_as_xen_has_them
from xenvcpu.abi import cpu_msr
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.allowances import EVERY_RULE, Allowances
from xenvcpu.context.presets import PRESETS, long64, pae32
from xenvcpu.context.segment import Segment
from xenvcpu.deadline import Patience
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import (
    DomainChangedError, DomainError, HypercallError, LastVcpuError, NoSuchVcpuError, RefusedContextError, StartError,
    VcpuDownError, VcpuOnlineError,
)
from xenvcpu.host import Host
from xenvcpu.model import console, worlds
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Kind, Shutdown
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries


def test_every_secondary_vcpu_starts_with_each_register_as_asked(web: Dom0Domain) -> None:
    report = web.start([1, 2, 3], context)
    assert report.vcpuids == (1, 2, 3) and report.kept == (0,)
    for vcpuid in (1, 2, 3):
        record = web.record(vcpuid)
        assert (record["rip"], record["rsp"], record["rax"]) == (0x100000, 0x80000 + 0x1000 * vcpuid, vcpuid)
        assert (record["cs_arbytes"], record["ss_arbytes"], record["tr_arbytes"]) == (0xC9B, 0xC93, 0x8B)


def test_the_other_vcpus_are_as_they_were(web: Dom0Domain, libraries: ModelLibraries) -> None:
    web.start([1], context)
    before = vcpus_as_xen_has_them(libraries)
    web.start([2, 3], context)
    assert vcpus_as_xen_has_them(libraries)[:2] == before[:2]


@pytest.mark.parametrize("release", ["4.17", "4.20", "4.22"])
def test_avx_state_of_the_online_vcpus_survives(release: str) -> None:
    libraries = ModelLibraries(worlds.pvh(release))
    with Host("model", libraries) as host:
        before = vcpus_as_xen_has_them(libraries)[0]["xsave"]
        host.domains()[0].start([1], context)
        assert before is not None and vcpus_as_xen_has_them(libraries)[0]["xsave"] == before


def test_the_tsc_of_a_new_vcpu_is_that_of_the_boot_vcpu(web: Dom0Domain) -> None:
    web.start([1, 2], context)
    state = web.state()
    assert state.record(1)["tsc"] == state.record(2)["tsc"] == state.record(0)["tsc"] != 0


def test_the_number_of_calls_is_the_same_for_3_and_for_127_vcpus_but_for_a_look_at_each() -> None:
    def calls(world: Callable[[], object], count: int) -> object:
        libraries = ModelLibraries(world())  # type: ignore[arg-type]
        with Host("model", libraries) as host:
            domain = host.domains()[0]
            libraries.calls.clear()
            domain.start(range(1, count + 1), context)
            counts = libraries.counts
            assert counts.pop("xc_vcpu_getinfo") == count
            return counts

    few = calls(worlds.pvh, 3)
    assert few == calls(worlds.big, 127)
    assert sum(few.values()) <= 14  # type: ignore[attr-defined]


def test_inside_the_pause_there_are_only_looks_load_and_read_back(web: Dom0Domain, libraries: ModelLibraries) -> None:
    libraries.calls.clear()
    web.start([1], context)
    names = [call.name for call in libraries.calls]
    inside = names[names.index("xc_domain_pause") + 1 : names.index("xc_domain_unpause")]
    assert inside == [
        "xc_domain_getinfolist", "xc_domain_hvm_getcontext", "xc_vcpu_getinfo", "xc_domain_hvm_setcontext",
        "xc_domain_hvm_getcontext", "xc_domain_getinfolist",
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_reads_back_as_it_was_loaded(web: Dom0Domain, name: str) -> None:
    web.start([1], lambda vcpuid: PRESETS[name]().replace(rip=0x1000, rsp=0x8000, cr3=0x2000))
    assert web.record(1)["rip"] == 0x1000


def test_extended_fields_and_msrs_are_carried(web: Dom0Domain, libraries: ModelLibraries) -> None:
    wanted = long64(0x1000, 0x8000, 0x2000).replace(
        r8=8, r15=15, gs=Segment(0xFFFF800000001000, 0xFFFFFFFF, 0xC93), shadow_gs=0x7000, msr_lstar=0xFFFF800000002000,
        cr2=0x1234, msrs=((0xC0011027, 0x55),),
    )
    web.start([1], lambda vcpuid: wanted)
    record = web.record(1)
    assert (record["r8"], record["r15"], record["gs_base"], record["shadow_gs"]) == (8, 15, 0xFFFF800000001000, 0x7000)
    assert (record["msr_lstar"], record["cr2"]) == (0xFFFF800000002000, 0x1234)
    assert (0xC0011027, 0x55) in cpu_msr.decode(libraries.host.named("web").vcpus[1].records[Typecode.CPU_MSR])


def test_a_context_that_a_rule_refuses_never_reaches_xen(web: Dom0Domain, libraries: ModelLibraries) -> None:
    libraries.calls.clear()
    with pytest.raises(RefusedContextError) as caught:
        web.start([1], lambda vcpuid: context(vcpuid).replace(cr4=1 << 15))
    assert caught.value.field == "cr4" and caught.value.vcpuid == 1
    assert all("cpu_policy" in name for name in libraries.counts)


def test_with_every_rule_ignored_xen_refuses_and_the_domain_is_as_before(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    before = vcpus_as_xen_has_them(libraries)
    with pytest.raises(HypercallError) as caught:
        web.start([1, 2], lambda vcpuid: context(vcpuid).replace(cr4=(vcpuid - 1) << 15), allow=EVERY_RULE)
    assert caught.value.errno == errno.EINVAL and caught.value.restored is True
    assert any("CR4" in line for line in caught.value.console)
    assert vcpus_as_xen_has_them(libraries) == before
    assert libraries.host.named("web").pause_count == 0


FAILING = ("xc_domain_getinfolist", "xc_domain_hvm_getcontext", "xc_domain_hvm_setcontext", "xc_domain_pause")


@pytest.mark.parametrize("function", FAILING)
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("answer", [errno.ENOMEM, KeyboardInterrupt()], ids=["ENOMEM", "interrupt"])
def test_whatever_call_fails_the_domain_is_as_before(
    web: Dom0Domain, libraries: ModelLibraries, function: str, after: int, answer: object
) -> None:
    before = vcpus_as_xen_has_them(libraries)
    libraries.calls.clear()
    libraries.fail(function, answer, after)  # type: ignore[arg-type]
    try:
        web.start([1, 2], context)
    except (HypercallError, KeyboardInterrupt):
        is_done = (function, after) == ("xc_domain_getinfolist", 2)  # the look when all is over
        assert (vcpus_as_xen_has_them(libraries) == before) is not is_done
    else:
        is_armed_still = libraries.counts[function] <= after
        assert is_armed_still or (function, after) == ("xc_domain_getinfolist", 2)
        assert [vcpu.is_down for vcpu in libraries.host.named("web").vcpus] == [False, False, False, True]
    assert libraries.host.named("web").pause_count == 0


def test_a_load_that_xen_changes_in_silence_is_put_back(
    web: Dom0Domain, libraries: ModelLibraries, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = vcpus_as_xen_has_them(libraries)
    real = libraries.xenctrl.xc_domain_hvm_setcontext

    def lossy(*arguments: object) -> int:
        result: int = real(*arguments)
        vcpu = libraries.host.named("web").vcpus[1]
        vcpu.image = vcpu.image.with_values(rip=0xBAD)
        monkeypatch.undo()
        return result

    monkeypatch.setattr(libraries.xenctrl, "xc_domain_hvm_setcontext", lossy)
    with pytest.raises(StartError) as caught:
        web.start([1], context)
    assert caught.value.differences == ("vcpu 1: rip is 0xbad, not 0x100000",) and caught.value.restored
    assert vcpus_as_xen_has_them(libraries) == before


def test_what_ran_comes_back_even_if_nothing_can_be_read_any_more(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    before = vcpus_as_xen_has_them(libraries)
    for after in (2, 0):
        libraries.fail("xc_domain_hvm_getcontext", errno.ENOMEM, after)
    with pytest.raises(HypercallError) as caught:
        web.start([1, 2], context)
    assert caught.value.op == "xc_domain_hvm_getcontext" and caught.value.restored is True
    assert vcpus_as_xen_has_them(libraries) == before


@pytest.mark.parametrize("function", ["xc_domain_pause", "xc_domain_hvm_setcontext", "xc_domain_unpause"])
def test_an_interrupt_waits_until_the_domain_runs_again(
    web: Dom0Domain, libraries: ModelLibraries, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    real = getattr(libraries.xenctrl, function)

    def interrupted(*arguments: object) -> int:
        signal.raise_signal(signal.SIGINT)
        result: int = real(*arguments)
        return result

    monkeypatch.setattr(libraries.xenctrl, function, interrupted)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(KeyboardInterrupt, match="^the start of vcpu 1 of domain 1 was done before$"):
        web.start([1], context)
    assert libraries.host.named("web").pause_count == 0 and web.state().online == (0, 1)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_an_interrupt_of_a_start_that_failed_does_not_call_it_done(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    def interrupted(call: RealCall) -> int:
        signal.raise_signal(signal.SIGINT)
        raise Refused(errno.EINVAL)

    libraries.fail("setcontext", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        web.start([1], context)
    assert str(caught.value) == "" and web.state().online == (0,)


def test_an_unpause_that_succeeds_late_is_in_the_report_and_told(libraries: ModelLibraries) -> None:
    told: List[str] = []
    libraries.fail("unpause", errno.EIO)
    with Host("model", libraries, Patience(tell=told.append)) as host:
        report = host.domain("web").start([1], context)
    (note,) = report.notes
    assert "the unpause of domain 1 was done, but not at the first try" in note and "EIO" in note
    assert told == report.as_dict()["notes"] == [note]


def test_a_start_that_goes_smoothly_has_nothing_to_note(web: Dom0Domain) -> None:
    assert web.start([1], context).notes == ()


def test_a_domain_that_dies_of_the_load_is_no_success(web: Dom0Domain, libraries: ModelLibraries) -> None:
    with pytest.raises(StartError, match="crashed") as caught:
        web.start([1], lambda vcpuid: pae32(0x100000, 0x8000, 0xF0000000))
    assert libraries.host.named("web").shutdown == Shutdown.crash
    assert caught.value.restored is False and any("crashed" in line for line in caught.value.console)


def test_a_start_that_ends_in_a_triple_fault_is_no_success(web: Dom0Domain, libraries: ModelLibraries) -> None:
    """For Xen that is a reboot, and no crash."""
    beyond = context(1).replace(cs=Segment(0, 0xFFFF, 0x49B))
    with pytest.raises(StartError, match="has shut down, as after a triple fault") as caught:
        web.start([1], lambda vcpuid: beyond, allow=EVERY_RULE)
    assert libraries.host.named("web").shutdown == Shutdown.reboot
    assert caught.value.restored is False


def test_a_domain_that_xen_crashes_for_a_record_is_not_called_restored(web: Dom0Domain) -> None:
    record = web.state().record(0).with_values(pending_event=1 << 31 | 1 << 8)
    with pytest.raises(HypercallError) as caught:
        web.start([1], lambda vcpuid: record, allow=EVERY_RULE)
    assert caught.value.restored is False


def test_a_console_larger_than_one_read_still_gives_the_line_that_explains(
    libraries: ModelLibraries, web: Dom0Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SIZE", 1 << 18)
    for number in range(4000):
        libraries.host.console.print(f"line {number} of a long boot")
    with pytest.raises(HypercallError) as caught:
        web.start([1], lambda vcpuid: context(vcpuid).replace(cr4=1 << 15), allow=EVERY_RULE)
    assert caught.value.console[0] == "(XEN) HVM1 restore: bad CR4 0x8000"


def test_a_console_that_cannot_be_read_hides_no_error(web: Dom0Domain, libraries: ModelLibraries) -> None:
    libraries.fail("xc_readconsolering", errno.ENOMEM, 1)
    with pytest.raises(HypercallError) as caught:
        web.start([1], lambda vcpuid: context(vcpuid).replace(cr4=1 << 15), allow=EVERY_RULE)
    assert caught.value.op == "xc_domain_hvm_setcontext" and caught.value.console == ()


def test_a_pause_that_somebody_else_holds_is_left_alone(web: Dom0Domain, libraries: ModelLibraries) -> None:
    libraries.host.named("web").pause_count = 2
    web.start([1], context)
    assert libraries.host.named("web").pause_count == 2


def test_a_vcpu_that_is_online_is_refused(web: Dom0Domain) -> None:
    with pytest.raises(VcpuOnlineError):
        web.plan([0], context)
    with pytest.raises(VcpuOnlineError, match="stop it first"):
        web.start([0], context)


def test_a_vcpu_that_does_not_exist_is_refused_with_those_that_do(web: Dom0Domain) -> None:
    with pytest.raises(NoSuchVcpuError, match="vcpus 0 to 3, not 4"):
        web.start([4], context)


def test_stop_makes_a_vcpu_fresh_and_it_starts_again(web: Dom0Domain, libraries: ModelLibraries) -> None:
    web.start([1], context)
    assert web.stop([1]) == (1,)
    assert not libraries.host.named("web").vcpus[1].is_initialised
    with pytest.raises(VcpuDownError, match="not initialised"):
        web.record(1)
    assert web.start([1], context).vcpuids == (1,)


def test_the_last_vcpu_is_not_stopped_unless_that_is_allowed(web: Dom0Domain) -> None:
    with pytest.raises(LastVcpuError):
        web.stop([0])
    assert web.stop([0], allow=Allowances.of("last")) == (0,)


def test_a_vcpu_of_a_pv_domain_is_not_stopped(host: Host, libraries: ModelLibraries) -> None:
    libraries.host.named("web").kind = Kind.PV
    with pytest.raises(DomainError, match="PV domain"):
        host.domains()[0].stop([1], allow=Allowances.of("last"))
    assert "xc_vcpu_setcontext" not in libraries.counts


def test_a_handle_that_cannot_tell_the_release_is_closed(libraries: ModelLibraries) -> None:
    libraries.fail("xc_version", errno.EFAULT)
    with Host("model", libraries) as host, pytest.raises(HypercallError):
        host.domains()
    assert libraries.leaks == {}


def test_a_dry_run_touches_nothing(web: Dom0Domain, libraries: ModelLibraries) -> None:
    before = vcpus_as_xen_has_them(libraries)
    plan = web.plan([1, 2], context)
    assert vcpus_as_xen_has_them(libraries) == before
    assert plan.steps()[0] == "pause domain 1" and len(plan.as_dict()["vcpus"]) == 2
    assert not {"xc_domain_pause", "xc_domain_hvm_setcontext"} & set(libraries.counts)


def test_a_captured_cpu_record_starts_a_vcpu_literally(web: Dom0Domain) -> None:
    boot = web.state().record(0)
    web.start([3], lambda vcpuid: boot)
    copy = web.record(3)
    assert {name: value for name, value in copy.values.items() if name != "tsc"} == {
        name: value for name, value in boot.values.items() if name != "tsc"
    }


def test_an_msr_that_no_cpu_msr_record_takes_is_refused_by_rule(web: Dom0Domain, libraries: ModelLibraries) -> None:
    wanted = context(1).replace(msrs=((0x10, 5),))
    with pytest.raises(RefusedContextError) as caught:
        web.start([1], lambda vcpuid: wanted)
    assert (caught.value.rule, caught.value.field) == ("msr-not-loadable", "msrs.0x10")
    with pytest.raises(HypercallError) as refused:
        web.start([1], lambda vcpuid: wanted, allow=EVERY_RULE)
    assert refused.value.errno == errno.ENXIO and libraries.host.named("web").vcpus[1].is_down


def test_the_line_that_xen_would_print_names_the_domain(web: Dom0Domain) -> None:
    with pytest.raises(RefusedContextError) as caught:
        web.start([1], lambda vcpuid: context(vcpuid).replace(cr4=1 << 15))
    assert caught.value.verdict.console == ("HVM1 restore: bad CR4 0x8000",)


def test_a_pause_that_somebody_else_gave_back_is_told(
    web: Dom0Domain, libraries: ModelLibraries, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = libraries.xenctrl.xc_domain_hvm_setcontext

    def unpaused_meanwhile(*arguments: object) -> int:
        libraries.host.named("web").pause_count = 0
        return int(real(*arguments))

    monkeypatch.setattr(libraries.xenctrl, "xc_domain_hvm_setcontext", unpaused_meanwhile)
    with pytest.raises(DomainChangedError, match="unpaused by somebody else"):
        web.start([1], context)


def given_back_by_another(libraries: ModelLibraries) -> None:
    """Somebody else unpauses the domain just before we do."""

    def unpause(call: RealCall) -> object:
        libraries.host.named("web").pause_count = 0
        return call()

    libraries.fail("xc_domain_unpause", unpause)


def test_a_pause_that_somebody_else_gave_back_after_a_put_back_is_told(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    libraries.fail("xc_domain_hvm_getcontext", errno.ENOMEM, 2)
    given_back_by_another(libraries)
    with pytest.raises(HypercallError) as caught:
        web.start([1], context)
    assert (caught.value.errno, caught.value.restored) == (errno.ENOMEM, False)
    (line,) = caught.value.left
    assert line.startswith(f"domain {web.domid} was unpaused by somebody else meanwhile: its vcpus may have run on")


def test_a_pause_that_somebody_else_gave_back_before_anything_was_touched_is_not_told(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    libraries.fail("xc_domain_hvm_getcontext", errno.ENOMEM, 1)
    given_back_by_another(libraries)
    with pytest.raises(HypercallError) as caught:
        web.start([1], context)
    assert (caught.value.errno, caught.value.restored, caught.value.left) == (errno.ENOMEM, None, ())


def test_a_state_that_the_processor_refuses_to_enter_is_no_success(web: Dom0Domain) -> None:
    with pytest.raises(StartError, match="crashed") as caught:
        web.start([1], lambda vcpuid: long64(1 << 47, 0x8000, 0x2000), allow=EVERY_RULE)
    assert caught.value.restored is False


def test_what_would_take_the_host_down_is_refused_with_every_rule_ignored(
    web: Dom0Domain, libraries: ModelLibraries
) -> None:
    libraries.calls.clear()
    with pytest.raises(RefusedContextError, match="msr_lstar"):
        web.start([1], lambda vcpuid: context(vcpuid).replace(msr_lstar=1 << 63), allow=EVERY_RULE)
    assert all("cpu_policy" in name for name in libraries.counts)
