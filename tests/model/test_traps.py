# SPDX-License-Identifier: MIT
"""Behaviour of Xen that a start can stumble over, and that the model therefore has: each test states one trap."""

from __future__ import annotations

import pytest

from tests.model.machine import Machine, context, context_64, cpu, refused
from xenvcpu import encoding
from xenvcpu.abi import cpu_record, guest_context, save_stream
from xenvcpu.abi.guest_context import VGCF
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.context.presets import pae32
from xenvcpu.model import build, guestaction
from xenvcpu.model.domain import Kind, Shutdown
from xenvcpu.model.vcpuop import Op
from xenvcpu.rules import effect


@pytest.mark.parametrize(("release", "is_initialised"), [("4.18", False), ("4.19", True)])
def test_hvmloader_leaves_the_vcpus_initialised_from_4_19(release: str, is_initialised: bool) -> None:
    machine = Machine(release, kind=Kind.HVM)
    build.leave_as_hvmloader(machine.host, machine.domain)
    if not is_initialised:
        assert machine.initialise(1, context()) == 0
        return
    with refused("EEXIST"):
        machine.initialise(1, context())
    guestaction.init(machine.domain, 1)
    assert machine.initialise(1, context()) == 0


def test_halt_without_interrupts_takes_the_vcpu_down_and_it_stays_initialised() -> None:
    machine = Machine(online=2)
    machine.load(cpu(0), cpu(1, rflags=2))
    guestaction.halt(machine.domain, 1)
    vcpu = machine.domain.vcpus[1]
    assert (vcpu.is_down, vcpu.is_initialised) == (True, True)
    with refused("EEXIST"):
        machine.initialise(1, context())
    assert machine.op(Op.up, 1) == 0


def test_halt_with_interrupts_just_waits() -> None:
    machine = Machine()
    machine.load(cpu(0, rflags=0x202))
    guestaction.halt(machine.domain, 0)
    assert machine.online() == [0]


@pytest.mark.parametrize("release", ["4.7", "4.22"])
def test_the_last_vcpu_that_halts_powers_the_domain_off(release: str) -> None:
    machine = Machine(release)
    machine.load(cpu(0, rflags=2))
    guestaction.halt(machine.domain, 0)
    assert machine.domain.shutdown == Shutdown.poweroff


@pytest.mark.parametrize(("release", "is_refused"), [("4.7", True), ("4.18", True), ("4.19", False), ("4.22", False)])
def test_a_vcpu_from_32_on_needs_a_vcpu_info_up_to_4_18(release: str, is_refused: bool) -> None:
    machine = Machine(release, 34)
    if is_refused:
        with refused("EINVAL"):
            machine.initialise(32, context())
        assert machine.host.console.lines == []
        machine.op(Op.register_vcpu_info, 32, bytes(16))
    assert machine.initialise(32, context()) == 0
    assert machine.initialise(31, context()) == 0


def test_a_missing_vcpu_info_is_told_before_a_bad_pointer() -> None:
    with refused("EINVAL"):
        Machine("4.18", 34).op(Op.initialise, 33, b"short")


@pytest.mark.parametrize(
    ("release", "is_refused"), [("4.7.1", False), ("4.7.2", True), ("4.8.0", False), ("4.8.5", True), ("4.9", False)]
)
def test_a_null_ds_is_refused_in_two_series(release: str, is_refused: bool) -> None:
    machine, null = Machine(release), context().with_values(ds_ar=0)
    if is_refused:
        with refused("EINVAL"):
            machine.initialise(1, null)
    else:
        assert machine.initialise(1, null) == 0


@pytest.mark.parametrize(("vendor", "cr0"), [("intel", 0x80000000), ("amd", 0x20000011)])
def test_a_bad_cr0_is_taken_and_crashes_the_domain_when_the_vcpu_runs(vendor: str, cr0: int) -> None:
    machine = Machine(vendor=vendor)
    machine.initialise(1, context().with_values(cr0=cr0))
    machine.op(Op.up, 1)
    assert machine.domain.shutdown == Shutdown.crash


@pytest.mark.parametrize(("vendor", "crashes"), [("intel", True), ("amd", False)])
def test_a_pae_start_with_no_memory_at_cr3_crashes_on_vt_x(vendor: str, crashes: bool) -> None:
    machine = Machine(vendor=vendor)
    image = encoding.to_vcpu_hvm_context(pae32(0x1000, 0x8000, machine.domain.memory.size << 12))
    assert machine.initialise(1, image) == 0
    assert machine.domain.shutdown == (Shutdown.crash if crashes else None)


@pytest.mark.parametrize(("release", "crashes"), [("4.14", True), ("4.15", False)])
def test_a_pae_start_with_a_crooked_cr3_crashes_up_to_4_14(release: str, crashes: bool) -> None:
    machine = Machine(release)
    machine.initialise(1, encoding.to_vcpu_hvm_context(pae32(0x1000, 0x8000, 0x2010)))
    assert (machine.domain.shutdown is not None) is crashes


def test_a_limit_counts_bytes_whatever_g_says() -> None:
    machine = Machine()
    machine.initialise(1, context().with_values(ds_limit=0xFFFFF, ds_ar=0xC93))
    left = machine.domain.vcpus[1].image
    assert (left["ds_limit"], left["ds_arbytes"]) == (0xFFFFF, 0x493)


def test_initialise_adds_lma_and_a_load_does_not() -> None:
    machine = Machine()
    machine.initialise(1, context_64().with_values(efer=0x100))
    assert machine.domain.vcpus[1].image["msr_efer"] == 0x500
    machine.domctl.pausedomain(1)
    machine.load(cpu(2, msr_efer=0x100))
    assert machine.domain.vcpus[2].image["msr_efer"] == 0x100


def test_a_load_wants_et_and_initialise_does_not() -> None:
    machine = Machine()
    machine.initialise(1, context().with_values(cr0=1))
    with refused("EINVAL"):
        machine.load(cpu(2, cr0=1))


def test_a_load_downs_every_vcpu_that_it_does_not_name() -> None:
    machine = Machine(online=3)
    machine.load(cpu(3))
    assert machine.online() == [3]


@pytest.mark.parametrize("release", ["4.17", "4.22"])
def test_a_refused_record_leaves_the_vcpus_down(release: str) -> None:
    machine = Machine(release, online=2)
    with refused("EINVAL"):
        machine.load(cpu(2, cr4=1 << 31))
    assert machine.online() == []


@pytest.mark.parametrize(
    ("release", "vendor", "event_type", "crashes"),
    [("4.17", "intel", 1, True), ("4.17", "intel", 5, False), ("4.17", "amd", 5, True), ("4.8.0", "amd", 5, False)],
)
def test_a_bad_event_crashes_the_domain(release: str, vendor: str, event_type: int, crashes: bool) -> None:
    machine = Machine(release, vendor=vendor)
    record = cpu(1, pending_event=1 << 31 | event_type << 8)
    if crashes:
        with refused("EINVAL"):
            machine.load(record)
        assert machine.domain.shutdown == Shutdown.crash
    else:
        machine.load(record)
        assert machine.domain.shutdown is None


def test_shadow_paging_crashes_the_domain_for_a_cr3_without_memory() -> None:
    machine = Machine("4.14", vendor="amd", is_hap=False)
    with refused("EINVAL"):
        machine.load(cpu(1, cr0=0x80000011, cr3=machine.domain.memory.size << 12))
    assert machine.domain.shutdown == Shutdown.crash
    called, crashed = machine.host.console.lines[:2]
    assert called.startswith("(XEN) domain_crash called from svm.c:")
    assert crashed == "(XEN) Domain 1 reported crashed by domain 0 on cpu#0:"


def test_a_bad_stream_reads_as_a_lack_of_privilege_in_older_releases() -> None:
    with refused("EPERM"):
        Machine("4.12").load(cpu(1, cr0=1))


def test_a_record_of_its_own_tells_the_tsc_of_the_last_full_save() -> None:
    machine = Machine()
    full = cpu_record.decode(machine.saved(Typecode.CPU)[0])["tsc"]
    machine.host.clock.advance(1_000_000)
    alone, _ = machine.domctl.gethvmcontext_partial(1, Typecode.CPU, 0, 1032)
    assert cpu_record.decode(alone)["tsc"] == full


def test_a_load_of_what_was_saved_takes_the_time_between_from_the_guest() -> None:
    machine = Machine()
    records = machine.save()
    before = machine.domain.vcpus[0].tsc_at(machine.host.clock.tsc)
    machine.host.clock.advance(1_000_000)
    machine.load_bytes(save_stream.join(records))
    assert machine.domain.vcpus[0].tsc_at(machine.host.clock.tsc) == before


@pytest.mark.parametrize(("release", "is_wrong"), [("4.11", False), ("4.12", True), ("4.22", True)])
def test_saved_mtrrs_have_the_first_range_in_all_places_from_4_12(release: str, is_wrong: bool) -> None:
    machine = Machine(release, kind=Kind.HVM)
    saved = machine.saved(Typecode.MTRR)[0]
    assert (saved[8:24] == saved[24:40]) is is_wrong
    assert machine.domain.vcpus[0].records[Typecode.MTRR][8:24] != machine.domain.vcpus[0].records[Typecode.MTRR][24:40]


@pytest.mark.parametrize(("release", "answer"), [("4.11", "ENOENT"), ("4.12", "ENODATA")])
def test_a_vcpu_that_is_down_has_no_cpu_record(release: str, answer: str) -> None:
    machine = Machine(release)
    assert list(machine.saved(Typecode.CPU)) == [0]
    with refused(answer):
        machine.domctl.gethvmcontext_partial(1, Typecode.CPU, 1, 1032)


def test_a_short_cpu_record_forces_the_fpu_flag_and_a_long_one_is_refused() -> None:
    machine = Machine()
    payload = cpu(1).payload
    machine.load(Record(Typecode.CPU, 1, payload[:1028]))
    assert machine.domain.vcpus[1].image["flags"] == 1
    with refused("EINVAL"):
        machine.load(Record(Typecode.CPU, 1, payload + bytes(8)))


@pytest.mark.parametrize(
    ("release", "is_refused"), [("4.18.4", True), ("4.18.5", False), ("4.19.1", True), ("4.19.2", False)]
)
def test_lapic_records_grew_inside_stable_series(release: str, is_refused: bool) -> None:
    machine = Machine(release)
    record = Record(Typecode.LAPIC, 1, bytes(9) + b"\x08" + bytes(22))
    if is_refused:
        with refused("EINVAL"):
            machine.load(record)
    else:
        machine.load(record)


def test_setvcpucontext_lets_a_vcpu_run_that_is_not_initialised() -> None:
    machine = Machine()
    wanted = guest_context.LAYOUT.image({"flags": VGCF.online, "user_regs.rip": 0x4000, "ctrlreg[0]": 0x80000011})
    machine.domctl.setvcpucontext(1, 1, wanted)
    vcpu = machine.domain.vcpus[1]
    assert (vcpu.is_initialised, vcpu.is_down, vcpu.image["rip"]) == (False, False, 0x4000)
    assert vcpu.image["cr0"] == effect.FRESH["cr0"]
    with refused("ENODATA"):
        machine.domctl.getvcpucontext(1, 1)
    with refused("EINVAL"):
        machine.op(Op.up, 1)
    assert machine.initialise(1, context()) == 0


@pytest.mark.parametrize(("release", "r8"), [("4.20", 8), ("4.21.0", 0), ("4.21.1", 0), ("4.21.2", 8), ("4.22", 8)])
def test_setvcpucontext_loses_r8_to_r15_in_two_point_releases(release: str, r8: int) -> None:
    machine = Machine(release)
    machine.domctl.setvcpucontext(1, 1, guest_context.LAYOUT.image({"user_regs.r8": 8, "user_regs.rax": 1}))
    image = machine.domain.vcpus[1].image
    assert (image["r8"], image["rax"]) == (r8, 1)


@pytest.mark.parametrize(("release", "adjust"), [("4.20", 5), ("4.21", 0x3_0002_0001), ("4.22", 0x3_0002_0001)])
def test_setvcpucontext_overwrites_tsc_adjust_from_4_21(release: str, adjust: int) -> None:
    machine = Machine(release)
    machine.load(cpu(0), Record(Typecode.TSC_ADJUST, 1, (5).to_bytes(8, "little")))
    selectors = {"user_regs.es": 1, "user_regs.fs": 2, "user_regs.gs": 3}
    machine.domctl.setvcpucontext(1, 1, guest_context.LAYOUT.image(selectors))
    assert int.from_bytes(machine.saved(Typecode.TSC_ADJUST)[1], "little") == adjust


def test_a_reset_leaves_stale_registers_for_the_next_initialise() -> None:
    machine = Machine()
    machine.load(cpu(0), cpu(1, r15=15, cr2=2, msr_lstar=3))
    machine.domctl.setvcpucontext(1, 1, None)
    machine.initialise(1, context())
    left = machine.domain.vcpus[1].image
    assert (left["r15"], left["cr2"], left["msr_lstar"]) == (15, 2, 3)


def test_initialise_leaves_the_tables_alone() -> None:
    machine = Machine()
    machine.initialise(1, context())
    left = machine.domain.vcpus[1].image
    assert (left["gdtr_limit"], left["idtr_limit"]) == (0, 0)


@pytest.mark.parametrize(("release", "rflags"), [("4.20", 0xAA), ("4.21.0", 0xAA), ("4.21.1", 0x82), ("4.22", 0x82)])
def test_reserved_flags_are_cleared_from_4_21_1(release: str, rflags: int) -> None:
    machine = Machine(release)
    machine.initialise(1, context().with_values(eflags=0xA8))
    assert machine.domain.vcpus[1].image["rflags"] == rflags


@pytest.mark.parametrize(("release", "def_type"), [("4.11", 0), ("4.12", 0x806)])
def test_pvh_guests_have_write_back_mtrrs_from_4_12(release: str, def_type: int) -> None:
    assert int.from_bytes(Machine(release).saved(Typecode.MTRR)[1][232:], "little") == def_type


def test_enoent_comes_before_enosys() -> None:
    machine = Machine()
    with refused("ENOENT"):
        machine.op(77, 99)
    with refused("ENOSYS"):
        machine.op(77, 0)


def test_getdomaininfo_finds_another_domain_up_to_4_17() -> None:
    machine = Machine("4.17")
    build.add_domain(machine.host, "later", 1, domid=9)
    assert machine.domctl.getdomaininfo(3).domid == 9


@pytest.mark.parametrize(("release", "answer"), [("4.21", "EINVAL"), ("4.22", "ENOENT")])
def test_getvcpuinfo_of_an_unknown_vcpu(release: str, answer: str) -> None:
    with refused(answer):
        Machine(release).domctl.getvcpuinfo(1, 99)


def test_console_lines_name_the_calling_vcpu_and_may_be_several() -> None:
    machine = Machine(online=2)
    with refused("EINVAL"):
        machine.op(Op.initialise, 2, context().with_values(cs_ar=0, ss_ar=0).pack(), caller=1)
    assert machine.host.console.lines == ["(XEN) d1v1 Null segment attributes for CS, SS or TR"] * 2


def test_initialise_puts_the_tsc_in_step_with_vcpu_0() -> None:
    machine = Machine()
    machine.load(cpu(0, tsc=123456))
    machine.initialise(1, context())
    now = machine.host.clock.tsc
    assert machine.domain.vcpus[1].tsc_at(now) == machine.domain.vcpus[0].tsc_at(now)


def test_a_sipi_starts_a_fresh_vcpu_in_real_mode() -> None:
    machine = Machine()
    guestaction.sipi(machine.host, machine.domain, 1, 0x10)
    vcpu = machine.domain.vcpus[1]
    assert (vcpu.image["cs_base"], vcpu.image["cr0"], vcpu.is_down) == (0x10000, 0x10, False)
    assert machine.domain.shutdown is None


def test_a_sipi_is_ignored_by_an_initialised_vcpu() -> None:
    machine = Machine(online=2)
    before = machine.domain.vcpus[1].state
    guestaction.sipi(machine.host, machine.domain, 1, 0x10)
    assert machine.domain.vcpus[1].state == before
