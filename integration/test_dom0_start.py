# SPDX-License-Identifier: MIT
"""Starts from dom0, proved by what the vcpus themselves dump, by the boot vcpu's own watch, and by xl."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Callable, Iterator

import pytest

from integration import starts
from integration.evidence import xl
from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import END, Record, Typecode, join
from xenvcpu.api import DescriptorTable, Dom0Domain, Host, Segment, open_host
from xenvcpu.errors import HypercallError, LastVcpuError, RefusedContextError

Factory = Callable[..., TinyGuest]
JUMP_TO_SELF = b"\xeb\xfe"
VCPUOP_INITIALISE, VCPUOP_UP = 0, 1
LINUX_PAT = 0x0407050600070106


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


def drive(host: Host, guest: TinyGuest) -> Dom0Domain:
    domain = host.domain(guest.name)
    assert isinstance(domain, Dom0Domain) and domain.domid == guest.domid
    return domain


def assert_unharmed(guest: TinyGuest) -> None:
    """The boot vcpu runs on, and has seen none of its registers change nor its TSC go back."""
    guest.await_beats(5)
    watch = guest.watch()
    assert watch.rounds > 0
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)


def test_all_secondary_vcpus_start_in_one_load_with_each_register_as_asked(
    host: Host, tiny_guest: Factory, record_property: Callable[[str, object], None]
) -> None:
    """Seven vcpus start at once; each dumps the registers it was given, while the boot vcpu watches its own."""
    guest = tiny_guest(vcpus=8)
    guest.watch_registers()
    domain = drive(host, guest)
    contexts = {vcpuid: starts.context(guest, "flat32", vcpuid) for vcpuid in range(1, 8)}
    before = guest.beat()
    report = domain.start(domain.down_vcpus(), contexts.__getitem__)
    assert report.vcpuids == tuple(range(1, 8)) and report.kept == (0,)
    for vcpuid, context in contexts.items():
        seen = guest.dump(vcpuid)
        assert {name: seen[name] for name in starts.GENERAL} == starts.registers(vcpuid, 32)
        assert (seen["width"], seen["cr0"], seen["efer"]) == (32, context.cr0, 0)
    assert guest.online() == list(range(8))
    assert guest.beat() > before
    assert_unharmed(guest)
    record_property("pause_ms", round(1000 * (report.pause_seconds or 0), 1))


@pytest.mark.smoke
@pytest.mark.parametrize("mode", starts.MODES)
def test_a_vcpu_starts_in_each_mode(host: Host, tiny_guest: Factory, mode: str) -> None:
    """The stub of that mode runs as the processor decodes that mode, with the control registers asked for."""
    guest = tiny_guest(vcpus=2)
    context = starts.context(guest, mode, 1)
    domain = drive(host, guest)
    domain.start([1], lambda vcpuid: context)
    seen = guest.dump(1)
    assert seen["width"] == starts.WIDTHS[mode]
    assert {name: seen[name] for name in ("rdx", "rsi", "rdi")} == {
        name: starts.registers(1, starts.WIDTHS[mode])[name] for name in ("rdx", "rsi", "rdi")
    }
    if mode != "pae32":  # the quiet stub touches no control register
        assert (seen["cr0"] & 0x80000001, seen["cr3"]) == (context.cr0 & 0x80000001, context.cr3)
    domain.stop([1])
    guest.await_beats()


def test_extended_fields_reach_the_vcpu(host: Host, tiny_guest: Factory) -> None:
    """What only the dom0 interface carries is there when the vcpu looks: r8-r15, bases, tables, MSRs, DRs, CR2."""
    guest = tiny_guest(vcpus=2)
    high = {f"r{n}": 0xF00D000000000000 | n for n in range(8, 16)}
    context = starts.context(guest, "long64", 1, wanted=("debug", "msrs")).replace(
        **high, cr2=0xC2C2, shadow_gs=0xFFFF80000000B000,
        fs=Segment(0x7F0000001000, 0xFFFFFFFF, 0xC93), gs=Segment(0xFFFF80000000A000, 0xFFFFFFFF, 0xC93),
        gdtr=DescriptorTable(0x12000, 0x7F), idtr=DescriptorTable(0x13000, 0xFFF),
        sysenter_cs=0x10, sysenter_esp=0x1111, sysenter_eip=0x2222, msr_star=0x23001000000000,
        msr_lstar=0xFFFF800000001111, msr_cstar=0xFFFF800000002222, msr_syscall_mask=0x700,
        dr0=0xD0, dr1=0xD1, dr2=0xD2, dr3=0xD3, dr6=0xFFFF0FF1, dr7=0x400, msr_tsc_aux=0x7A,
    )
    domain = drive(host, guest)
    domain.start([1], lambda vcpuid: context)
    seen = guest.dump(1)
    assert {name: seen[name] for name in high} == high
    assert (seen["fs_base"], seen["gs_base"], seen["kernel_gs_base"]) == (
        0x7F0000001000, 0xFFFF80000000A000, 0xFFFF80000000B000,
    )
    assert (seen["gdtr_base"], seen["gdtr_limit"]) == (0x12000, 0x7F)
    assert (seen["idtr_base"], seen["idtr_limit"]) == (0x13000, 0xFFF)
    assert (seen["star"], seen["lstar"], seen["cstar"], seen["sfmask"]) == (
        context.msr_star, context.msr_lstar, context.msr_cstar, 0x700,
    )
    assert (seen["sysenter_cs"], seen["sysenter_esp"], seen["sysenter_eip"]) == (0x10, 0x1111, 0x2222)
    assert domain.record(1)["msr_tsc_aux"] == 0x7A  # the domain has no RDTSCP to read it with
    assert [seen[f"dr{n}"] for n in (0, 1, 2, 3, 6, 7)] == [0xD0, 0xD1, 0xD2, 0xD3, 0xFFFF0FF1, 0x400]
    assert seen["cr2"] == 0xC2C2


def test_the_fpu_image_reaches_the_vcpu(host: Host, tiny_guest: Factory) -> None:
    """The XMM registers and MXCSR that the stub saves are those of the FXSAVE image given."""
    guest = tiny_guest(vcpus=2)
    made = bytearray(512)
    struct.pack_into("<H", made, 0, 0x37F)
    struct.pack_into("<I", made, 24, 0x1F80)
    for n in range(8):
        made[160 + 16 * n : 176 + 16 * n] = bytes([0x10 + n]) * 16
    image = bytes(made)
    context = starts.context(guest, "flat32", 1, wanted=("fxsave",)).replace(fpu_regs=image, cr4=0x200)
    drive(host, guest).start([1], lambda vcpuid: context)
    guest.dump(1)
    seen = guest.stubs.fxsave(1)
    assert seen[160:288] == image[160:288]
    assert (seen[0:2], seen[24:28]) == (image[0:2], image[24:28])


def test_a_stopped_vcpu_starts_again(host: Host, tiny_guest: Factory) -> None:
    """Stop takes a vcpu down, as xl sees it; a second start runs it from its entry with new registers."""
    guest = tiny_guest(vcpus=3)
    guest.watch_registers()
    domain = drive(host, guest)
    for turn in range(3):
        context = starts.context(guest, "flat32", 1).replace(rdi=0x1000 + turn)
        domain.start([1], lambda vcpuid, context=context: context)  # type: ignore[misc]
        assert guest.dump(1)["rdi"] == 0x1000 + turn
        assert guest.online() == [0, 1]
        assert domain.stop([1]) == (1,)
        assert guest.online() == [0]
    assert_unharmed(guest)


def test_a_rule_refuses_a_bad_context_before_xen_is_asked(host: Host, tiny_guest: Factory) -> None:
    """The rule and the field are named; Xen's console stays silent."""
    guest = tiny_guest(vcpus=2)
    context = starts.context(guest, "flat32", 1).replace(cr4=1 << 15)
    before = xl.dmesg()
    with pytest.raises(RefusedContextError) as caught:
        drive(host, guest).start([1], lambda vcpuid: context)
    assert (caught.value.rule, caught.value.field) == ("cr4-bit", "cr4")
    assert xl.dmesg() == before
    assert guest.online() == [0]


@pytest.mark.parametrize("changes", [{"cr4": 1 << 15}, {"cr0": 0x80000010}, {"efer": 1 << 12}], ids=str)
def test_with_the_rules_bypassed_xen_refuses_and_the_guest_is_unharmed(
    host: Host, tiny_guest: Factory, changes: dict[str, int]
) -> None:
    """Xen answers EINVAL, its console line comes with the error, and every vcpu is as it was."""
    guest = tiny_guest(vcpus=4)
    guest.watch_registers()
    domain = drive(host, guest)
    domain.start([1], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    guest.dump(1)
    bad = starts.context(guest, "flat32", 3).replace(**changes)
    good = starts.context(guest, "flat32", 2)
    with pytest.raises(HypercallError) as caught:
        domain.start([2, 3], lambda vcpuid: bad if vcpuid == 3 else good, force=True)
    assert caught.value.errno == errno.EINVAL and caught.value.restored is True
    assert any("restore" in line for line in caught.value.console), caught.value.console
    assert guest.online() == [0, 1]
    assert domain.start([2], lambda vcpuid: good).vcpuids == (2,)
    assert_unharmed(guest)


def test_a_hundred_starts_leave_the_boot_vcpu_as_it_is(
    host: Host, tiny_guest: Factory, record_property: Callable[[str, object], None]
) -> None:
    """100 starts and stops of another vcpu: no register of the boot vcpu changes, its TSC never goes back."""
    guest = tiny_guest(vcpus=2)
    guest.watch_registers()
    domain = drive(host, guest)
    context = starts.context(guest, "flat32", 1)
    pauses = []
    for _ in range(100):
        pauses.append(domain.start([1], lambda vcpuid: context).pause_seconds or 0.0)
        domain.stop([1])
    assert_unharmed(guest)
    record_property("pause_ms_median", round(1000 * sorted(pauses)[50], 1))
    record_property("pause_ms_longest", round(1000 * max(pauses), 1))


def test_the_pat_of_the_boot_vcpu_survives(host: Host, tiny_guest: Factory) -> None:
    """A CPU record alone resets the PAT under SVM, which is shown first; a start brings it back."""
    guest = tiny_guest(vcpus=2)
    guest.watch_registers()
    domain = drive(host, guest)
    state = domain.state()
    image = mtrr.LAYOUT.unpack(state.mtrr[0].payload).with_values(msr_pat_cr=LINUX_PAT)
    set_pat = Record(Typecode.MTRR, 0, image.pack())
    host.dom0.load_context(guest.domid, join((state.header, *state.kept, set_pat, END)))
    assert domain.state().own_pats == {0: LINUX_PAT}

    domain.start([1], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    guest.dump(1)
    assert domain.state().own_pats == {0: LINUX_PAT}

    if "svm" in Path("/proc/cpuinfo").read_text() or "AuthenticAMD" in Path("/proc/cpuinfo").read_text():
        state = domain.state()
        host.dom0.load_context(guest.domid, join((state.header, *state.cpu.values(), END)))
        assert domain.state().own_pats == {}
    guest.await_beats()


def test_127_vcpus_start_in_one_load(
    host: Host, tiny_guest: Factory, record_property: Callable[[str, object], None]
) -> None:
    """The most that Xen allows: each of them runs its stub."""
    guest = tiny_guest(vcpus=128)
    domain = drive(host, guest)
    contexts = {vcpuid: starts.context(guest, "flat32", vcpuid, rests=True) for vcpuid in range(1, 128)}
    report = domain.start(range(1, 128), contexts.__getitem__)
    assert len(report.vcpuids) == 127
    assert all(guest.dump(vcpuid, timeout=60)["rdi"] == contexts[vcpuid].rdi for vcpuid in contexts)
    record_property("pause_ms", round(1000 * (report.pause_seconds or 0), 1))


def test_the_last_vcpu_is_not_stopped(host: Host, tiny_guest: Factory) -> None:
    """A stop that would leave the domain without a running vcpu is refused."""
    guest = tiny_guest(vcpus=2)
    with pytest.raises(LastVcpuError):
        drive(host, guest).stop([0])
    guest.await_beats()


@pytest.mark.parametrize("mode", ["flat32", "real16", "compat32", "long64"])
def test_both_interfaces_leave_the_same_cpu_record(host: Host, tiny_guest: Factory, mode: str) -> None:
    """The same context through VCPUOP in the guest and from dom0, on a loop that changes nothing: no field differs."""
    guest = tiny_guest(vcpus=2)
    domain = drive(host, guest)
    context = starts.context(guest, mode, 1)
    guest.write((context.cs.base if mode == "real16" and context.cs else 0) + context.rip, JUMP_TO_SELF)
    assert guest.vcpu_op(VCPUOP_INITIALISE, 1, encoding.to_vcpu_hvm_context(context).pack()) == 0
    assert guest.vcpu_op(VCPUOP_UP, 1) == 0
    inside = domain.record(1)
    domain.stop([1])
    domain.start([1], lambda vcpuid: context)
    outside = domain.record(1)
    domain.stop([1])
    differing = {
        name: (hex(value), hex(outside[name])) for name, value in inside.values.items()
        if name not in ("tsc", "flags") and value != outside[name]
    }
    assert differing == {}
