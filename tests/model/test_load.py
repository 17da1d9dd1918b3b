# SPDX-License-Identifier: MIT
"""Loading save streams: who goes down, who comes back, and what Xen answers in which release."""

from __future__ import annotations

import struct

import pytest

from tests.model.machine import END, HEADER, Machine, cpu, cpu_image, refused
from xenvcpu.abi import cpu_msr, cpu_record, save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Kind, Shutdown
from xenvcpu.rules import effect

OLD = ("4.7", "4.12", "4.13.3", "4.14.2", "4.15.0")
NEW = ("4.13.4", "4.14.3", "4.15.1", "4.16", "4.17", "4.19", "4.22")
EARLY = ("4.13.4", "4.16", "4.17", "4.18")
CHECKED = ("4.19", "4.20", "4.22")

BAD_STREAMS = {
    "empty": (b"", "ENODATA"),
    "no header": (save_stream.join((cpu(0), END)), "ENODATA"),
    "bad magic": (save_stream.join((HEADER, END)).replace(b"\x86\x12\x38\x54", b"\0\0\0\0"), "EINVAL"),
    "bad version": (save_stream.join((HEADER, END)).replace(b"\x54\1", b"\x54\2"), "EINVAL"),
    "no end": (save_stream.join((HEADER, cpu(0))), "ENODATA"),
    "unknown type": (save_stream.join((HEADER, Record(21, 0, b""), END)), "EINVAL"),
    "second header": (save_stream.join((HEADER, HEADER, END)), "EINVAL"),
    "bad cpu": (save_stream.join((HEADER, cpu(0, cr0=1), END)), "EINVAL"),
    "no such vcpu": (save_stream.join((HEADER, cpu(4), END)), "EINVAL"),
    "too long": (save_stream.join((HEADER, Record(2, 0, cpu_image().pack() + b"\0"), END)), "EINVAL"),
    "short mtrr": (save_stream.join((HEADER, Record(Typecode.MTRR, 0, bytes(239)), END)), "EINVAL"),
    "unknown msr": (save_stream.join((HEADER, Record(20, 0, cpu_msr.encode([(0x174, 1)])), END)), "ENXIO"),
}


@pytest.mark.parametrize("release", NEW)
@pytest.mark.parametrize("what", BAD_STREAMS)
def test_a_bad_stream_is_told_by_its_errno_in_newer_releases(release: str, what: str) -> None:
    stream, answer = BAD_STREAMS[what]
    with refused(answer):
        Machine(release).load_bytes(stream)


@pytest.mark.parametrize("release", OLD)
@pytest.mark.parametrize("what", BAD_STREAMS)
def test_any_bad_stream_is_eperm_in_older_releases(release: str, what: str) -> None:
    with refused("EPERM"):
        Machine(release).load_bytes(BAD_STREAMS[what][0])


@pytest.mark.parametrize("release", (*OLD, *NEW))
def test_a_dying_domain_is_einval_in_every_release(release: str) -> None:
    machine = Machine(release)
    machine.domain.is_dying = True
    with refused("EINVAL"):
        machine.load(cpu(0))


@pytest.mark.parametrize("release", (*OLD, *NEW))
@pytest.mark.parametrize("what", ["empty", "no header", "bad magic", "bad version"])
def test_a_bad_header_touches_nothing(release: str, what: str) -> None:
    machine = Machine(release, online=2)
    with pytest.raises(Refused):
        machine.load_bytes(BAD_STREAMS[what][0])
    assert machine.online() == [0, 1]


@pytest.mark.parametrize("what", ["no end", "unknown type"])
def test_a_damaged_stream_downs_the_vcpus_before_4_19(what: str) -> None:
    machine = Machine("4.18", online=2)
    with pytest.raises(Refused):
        machine.load_bytes(BAD_STREAMS[what][0])
    assert 1 not in machine.online()


@pytest.mark.parametrize("release", CHECKED)
@pytest.mark.parametrize("what", ["no end", "unknown type", "second header"])
def test_a_damaged_stream_touches_nothing_from_4_19(release: str, what: str) -> None:
    machine = Machine(release, online=2)
    with pytest.raises(Refused):
        machine.load_bytes(BAD_STREAMS[what][0])
    assert machine.online() == [0, 1]


@pytest.mark.parametrize(("release", "answer"), [("4.18", "EINVAL"), ("4.19", "ENODATA")])
def test_a_record_that_overruns_the_stream(release: str, answer: str) -> None:
    stream = save_stream.join((HEADER, cpu(0)))[:-1]
    with refused(answer):
        Machine(release).load_bytes(stream)


def test_what_follows_end_is_ignored() -> None:
    machine = Machine()
    machine.load_bytes(save_stream.join((HEADER, cpu(0), END)) + b"junk")
    assert machine.online() == [0]


def test_the_length_of_end_is_not_looked_at() -> None:
    machine = Machine()
    machine.load_bytes(save_stream.join((HEADER, cpu(0))) + struct.pack("<HHI", 0, 7, 0xFFFFFFFF))
    assert machine.online() == [0]


def test_an_empty_load_downs_every_vcpu() -> None:
    machine = Machine(online=3)
    machine.load()
    assert machine.online() == []
    assert [vcpu.is_initialised for vcpu in machine.domain.vcpus] == [True, True, True, False]


def test_a_vcpu_comes_up_initialised_and_runs() -> None:
    machine = Machine()
    machine.load(cpu(0), cpu(2, 0x4000))
    vcpu = machine.domain.vcpus[2]
    assert (vcpu.is_initialised, vcpu.is_down, vcpu.runs, vcpu.image["rip"]) == (True, False, 1, 0x4000)


def test_records_are_loaded_in_the_order_of_the_stream() -> None:
    machine = Machine()
    machine.load(cpu(1, 0x1000), cpu(1, 0x2000))
    assert machine.domain.vcpus[1].image["rip"] == 0x2000


def test_the_first_bad_record_ends_the_load_and_what_was_loaded_stays() -> None:
    machine = Machine(online=2)
    with refused("EINVAL"):
        machine.load(cpu(1, 0x4000), cpu(2, cr0=1), cpu(0))
    assert machine.online() == [1]


def test_online_records_before_the_new_one_keep_the_guest_running_when_that_is_bad() -> None:
    machine = Machine(online=2)
    with refused("EINVAL"):
        machine.load(cpu(0), cpu(1), cpu(2, cr0=1))
    assert machine.online() == [0, 1]


def test_the_saved_stream_revives_a_guest_that_a_bad_load_has_stopped() -> None:
    machine = Machine(online=2)
    saved = save_stream.join(machine.save())
    with refused("EINVAL"):
        machine.load(cpu(2, cr0=1))
    assert machine.online() == []
    machine.load_bytes(saved)
    assert machine.online() == [0, 1]


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("4.12", "HVM1 restore: failed to load entry 2/2"),
        ("4.17", "HVM1 restore: failed to load entry 2/2 rc -22"),
        ("4.18", "HVM1 restore: failed to load entry 2/2 rc -22"),
        ("4.19", "HVM restore d1: failed to load CPU:2 rc -22"),
    ],
)
def test_xen_names_the_record_that_failed(release: str, line: str) -> None:
    machine = Machine(release)
    with pytest.raises(Refused):
        machine.load(cpu(0), cpu(2, cr0=1))
    assert machine.host.console.lines == ["(XEN) HVM1 restore: bad CR0 0x1", f"(XEN) {line}"]


def test_a_check_that_fails_is_told_apart_from_a_load_that_fails() -> None:
    machine = Machine("4.20")
    with refused("ENODATA"):
        machine.load(Record(Typecode.LAPIC_REGS, 1, bytes(1023)))
    assert machine.last_line == "(XEN) HVM restore d1: failed to check LAPIC_REGS:1 rc -61"
    assert machine.online() == [0]


@pytest.mark.parametrize("field", ["msr_tsc_aux", "msr_efer"])
def test_a_line_can_name_the_vcpu(field: str) -> None:
    machine = Machine()
    with refused("EINVAL"):
        machine.load(cpu(2, **{field: 1 << 40}))
    assert machine.host.console.lines[0].startswith("(XEN) d1v2: HVM restore: bad ")


def test_a_bad_flags_value_is_printed_with_the_calling_vcpu() -> None:
    machine = Machine()
    with refused("EINVAL"):
        machine.load(cpu(2, flags=2))
    assert machine.host.console.lines[0] == "(XEN) d0v0 bad flags value in CPU context: 0x2"


class TestCpuRecord:
    """hvm_load_cpu_ctxt."""

    def test_of_1024_bytes_is_taken_with_its_fpu_image_valid(self) -> None:
        machine = Machine()
        machine.load(Record(Typecode.CPU, 1, cpu_image().pack()[:1024]))
        assert machine.domain.vcpus[1].image["flags"] == 1

    def test_of_1016_bytes_is_taken_as_the_layout_without_tsc_aux(self) -> None:
        machine = Machine()
        old = cpu_image(msr_efer=0).pack()
        tsc = (77).to_bytes(8, "little")
        machine.load(Record(Typecode.CPU, 1, old[:1000] + tsc + bytes(8)))
        vcpu = machine.domain.vcpus[1]
        assert (vcpu.tsc_at(machine.domain.sync_tsc), vcpu.image["msr_tsc_aux"]) == (77, 0)

    def test_that_is_shorter_still_is_filled_up_and_then_judged(self) -> None:
        machine = Machine()
        with refused("EINVAL"):
            machine.load(Record(Typecode.CPU, 1, b"\0" * 600))
        assert machine.host.console.lines[0] == "(XEN) HVM1 restore: bad CR0 0"

    def test_sets_the_tsc_as_of_the_load(self) -> None:
        machine = Machine()
        machine.load(cpu(1, tsc=1234))
        vcpu = machine.domain.vcpus[1]
        assert vcpu.tsc_at(machine.domain.sync_tsc) == 1234

    def test_takes_lma_literally(self) -> None:
        machine = Machine()
        machine.load(cpu(1, msr_efer=0x100))
        assert machine.domain.vcpus[1].image["msr_efer"] == 0x100

    def test_converts_attributes_in_the_form_of_the_vmcs(self) -> None:
        machine = Machine()
        machine.load(cpu(1, cs_arbytes=0xC09B))
        assert machine.domain.vcpus[1].image["cs_arbytes"] == 0xC9B

    def test_lets_g_follow_the_limit(self) -> None:
        machine = Machine()
        machine.load(cpu(1, ds_arbytes=0xC93, ds_limit=0xFFFF))
        assert machine.domain.vcpus[1].image["ds_arbytes"] == 0x493

    def test_corrects_debug_registers_from_4_18(self) -> None:
        for release, wanted in (("4.17", 0), ("4.18", effect.DR6_DEFAULT)):
            machine = Machine(release)
            machine.load(cpu(1, dr6=0))
            assert machine.domain.vcpus[1].image["dr6"] == wanted

    def test_of_a_state_that_the_processor_cannot_enter_is_taken_and_crashes_the_domain(self) -> None:
        machine = Machine()
        machine.load(cpu(0), cpu(1, msr_efer=0x500, cr0=0x80000011, cr4=0))
        assert machine.domain.shutdown == Shutdown.crash

    def test_does_not_run_while_the_domain_is_paused(self) -> None:
        machine = Machine()
        machine.domctl.pausedomain(1)
        machine.load(cpu(1, msr_efer=0x500, cr0=0x80000011, cr4=0))
        assert (machine.online(), machine.domain.shutdown) == ([1], None)
        machine.domctl.unpausedomain(1)
        assert machine.domain.shutdown == Shutdown.crash

    def test_injects_its_pending_event_when_it_runs(self) -> None:
        machine = Machine()
        machine.domctl.pausedomain(1)
        machine.load(cpu(1, pending_event=1 << 31 | 0x20, rflags=0x202))
        assert cpu_record.decode(machine.saved(Typecode.CPU)[1])["pending_event"] == 1 << 31 | 0x20
        machine.domctl.unpausedomain(1)
        assert cpu_record.decode(machine.saved(Typecode.CPU)[1])["pending_event"] == 0


class TestOtherRecords:
    """What is not a CPU record."""

    def test_lapic_without_a_local_apic_is_enodev(self) -> None:
        machine = Machine("4.17")
        machine.domain.has_lapic = False
        with refused("ENODEV"):
            machine.load(Record(Typecode.LAPIC_REGS, 0, bytes(1024)))

    def test_a_device_that_a_pvh_guest_lacks_is_enodev(self) -> None:
        with refused("ENODEV"):
            Machine().load(Record(Typecode.IOAPIC, 0, bytes(400)))

    def test_a_device_of_an_hvm_guest_is_loaded(self) -> None:
        machine = Machine(kind=Kind.HVM)
        machine.load(Record(Typecode.PIC, 1, b"12345678"))
        assert machine.saved(Typecode.PIC) == {0: bytes(8), 1: b"12345678"}

    def test_a_short_lapic_record_is_filled_up(self) -> None:
        machine = Machine("4.21")
        short = machine.saved(Typecode.LAPIC)[1][:24]
        machine.load(Record(Typecode.LAPIC, 1, short))
        assert machine.saved(Typecode.LAPIC)[1] == short + bytes(8)

    def test_x2apic_mode_on_a_disabled_apic_is_refused(self) -> None:
        with refused("EINVAL"):
            Machine().load(Record(Typecode.LAPIC, 1, (0xFEE00400).to_bytes(24, "little")))

    def test_msrs_are_merged_and_kept_without_zeros(self) -> None:
        machine = Machine()
        machine.load(Record(Typecode.CPU_MSR, 1, cpu_msr.encode([(0x48, 1), (0x140, 1)])))
        machine.load(Record(Typecode.CPU_MSR, 1, cpu_msr.encode([(0x48, 0), (0xC0011027, 3)])))
        assert cpu_msr.decode(machine.saved(Typecode.CPU_MSR)[1]) == ((0x140, 1), (0xC0011027, 3))

    def test_an_empty_msr_record_is_refused(self) -> None:
        with refused("EINVAL"):
            Machine().load(Record(Typecode.CPU_MSR, 1, cpu_msr.encode([])))

    def test_more_than_eight_variable_mtrrs_are_refused(self) -> None:
        with refused("EINVAL"):
            Machine().load(Record(Typecode.MTRR, 1, bytes(224) + b"\x09" + bytes(15)))

    def test_the_header_sets_the_tsc_frequency_unless_it_is_zero(self) -> None:
        machine = Machine()
        machine.load_bytes(save_stream.join((save_stream.header(gtsc_khz=1_000_000), END)))
        machine.load()
        assert machine.domain.tsc_khz == 1_000_000
