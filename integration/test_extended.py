# SPDX-License-Identifier: MIT
"""State that only dom0 can give a vcpu: seen by the vcpu, and at work."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable, Iterator

import pytest

from integration import starts
from integration.evidence import traps
from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.evidence.traps import Trap, Traps
from integration.guest import layout
from xenvcpu.api import DescriptorTable, Host, Segment, VcpuContext, open_host

Factory = Callable[..., TinyGuest]
CPUINFO = Path("/proc/cpuinfo")
FS, GS, OTHER_GS = (layout.SEGMENTS + layout.PAGE * number for number in range(3))
GDTR = DescriptorTable(layout.TRAP_GDT, layout.TRAP_GDT_LIMIT)
IDTR = DescriptorTable(layout.TRAP_IDT, 16 * traps.VECTORS - 1)
SYSCALL_SELECTOR = 0x40
SCE = 1
FLAGS, CLEARED = 0x207002, 0x4200
"""ID, NT and IOPL; and what the SYSCALL mask takes away. No arithmetic flags: QEMU's SYSCALL clears them all."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


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
    domain = starts.drive(host, guest)
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
    assert domain.record(1)["msr_tsc_aux"] == 0x7A
    assert [seen[f"dr{n}"] for n in (0, 1, 2, 3, 6, 7)] == [0xD0, 0xD1, 0xD2, 0xD3, 0xFFFF0FF1, 0x400]
    assert seen["cr2"] == 0xC2C2


def test_tsc_aux_is_read_by_the_vcpu(host: Host, tiny_guest: Factory) -> None:
    """RDMSR gives the TSC_AUX asked for, where the domain has RDTSCP."""
    if "rdtscp" not in CPUINFO.read_text().split():
        pytest.skip("the lab leaves RDTSCP off, since QEMU reports an intercepted one as RDTSC (APM volume 2, 15.9)")
    guest = tiny_guest(vcpus=2)
    context = starts.context(guest, "long64", 1, wanted=("tsc_aux",)).replace(msr_tsc_aux=0x7A)
    starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert guest.dump(1)["tsc_aux"] == 0x7A


@pytest.mark.parametrize("mode", ["flat32", "long64"])
def test_the_fpu_image_reaches_the_vcpu(host: Host, tiny_guest: Factory, mode: str) -> None:
    """Control words, x87 stack and XMM registers that the stub saves are those of the FXSAVE image given."""
    guest = tiny_guest(vcpus=2)
    xmm = 16 if mode == "long64" else 8
    made = bytearray(512)
    struct.pack_into("<HHB", made, 0, 0x27F, 5 << 11, 0xE0)  # FCW; three values on the stack, ST0 is register 5
    struct.pack_into("<I", made, 24, 0x1FA0)
    for n in range(3):
        made[32 + 16 * n : 42 + 16 * n] = struct.pack("<QH", 1 << 63 | 0x1234 + n, 0x3FFF + n)
    for n in range(xmm):
        made[160 + 16 * n : 176 + 16 * n] = bytes([0x10 + n]) * 16
    image = bytes(made)
    context = starts.context(guest, mode, 1, wanted=("fxsave",))
    context = context.replace(fpu_regs=image, cr4=context.cr4 | 0x200)
    starts.drive(host, guest).start([1], lambda vcpuid: context)
    guest.dump(1)
    seen = guest.stubs.fxsave(1)
    assert seen[:5] == image[:5] and seen[24:28] == image[24:28]
    assert [seen[at : at + 10] for at in range(32, 160, 16)] == [image[at : at + 10] for at in range(32, 160, 16)]
    assert seen[160 : 160 + 16 * xmm] == image[160 : 160 + 16 * xmm]


def acting(guest: TinyGuest) -> VcpuContext:
    """The context that starts extended64.s on vcpu 1."""
    guest.write(layout.SEGMENTS, bytes(3 * layout.PAGE))
    guest.write(layout.EXT_STATE, bytes(40))
    page = guest.stubs.place_program("extended64.bin", 1)
    made = starts.bare(guest, "long64")
    return made.replace(
        rip=page, rsp=layout.SEGMENTS + 8 * layout.PAGE, rflags=FLAGS, efer=made.efer | SCE,
        fs=Segment(FS, 0xFFFFFFFF, 0xC93), gs=Segment(GS, 0xFFFFFFFF, 0xC93), shadow_gs=OTHER_GS,
        msr_star=SYSCALL_SELECTOR << 32, msr_lstar=page + layout.EXT_ENTRY, msr_syscall_mask=CLEARED,
        gdtr=GDTR, idtr=IDTR,
    )


def await_trap(taken: Traps, guest: TinyGuest) -> Trap:
    """The trap that vcpu 1 ends in."""
    await_true(lambda: taken.taken() is not None, "vcpu 1 took no trap", 30)
    await_true(lambda: guest.online() == [0], "the handler did not end", 30)
    trap = taken.taken()
    assert trap is not None
    return trap


def test_bases_syscall_and_tables_given_from_dom0_are_at_work(
    host: Host, tiny_guest: Factory, tiny_image: Path
) -> None:
    """Stores go through FS, GS and, after swapgs, the other GS; a SYSCALL and a fault arrive where the state says."""
    guest = tiny_guest(vcpus=2)
    taken = Traps(guest.memory, tiny_image, wide=True)
    context = acting(guest)
    starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert await_trap(taken, guest) == Trap(traps.INVALID_OPCODE, context.rip + layout.EXT_FAULT)
    words = [guest.memory.read_word(base + layout.SEG_SPOT) for base in (FS, GS, OTHER_GS)]
    assert words == [layout.EXT_WORD, layout.EXT_WORD + 1, layout.EXT_WORD + 2]
    rcx, r11, cs, ss, rflags = struct.unpack_from("<QQHH4xQ", guest.read(layout.EXT_STATE, 40))
    assert (rcx, r11) == (context.rip + layout.EXT_SYSCALL, FLAGS)
    assert (cs, ss, rflags) == (SYSCALL_SELECTOR, SYSCALL_SELECTOR + 8, FLAGS & ~CLEARED)


def test_a_breakpoint_given_from_dom0_is_hit(host: Host, tiny_guest: Factory, tiny_image: Path) -> None:
    """An instruction breakpoint in DR0 and DR7 stops the vcpu there, in the handler of #DB."""
    if "QEMU" in CPUINFO.read_text():
        pytest.skip("QEMU's VMRUN takes DR7 from the VMCB and arms no breakpoint (APM volume 2, 13.1.1 and 15.5.1)")
    guest = tiny_guest(vcpus=2)
    taken = Traps(guest.memory, tiny_image, wide=True)
    context = acting(guest)
    context = context.replace(dr0=context.rip + layout.EXT_SYSCALL - 4, dr7=0x402)
    starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert await_trap(taken, guest) == Trap(traps.DEBUG, context.rip + layout.EXT_SYSCALL - 4)


def test_a_single_step_given_from_dom0_is_taken(host: Host, tiny_guest: Factory, tiny_image: Path) -> None:
    """RFLAGS.TF stops the vcpu behind its first instruction, in the handler of #DB."""
    guest = tiny_guest(vcpus=2)
    taken = Traps(guest.memory, tiny_image, wide=True)
    context = acting(guest)
    context = context.replace(rflags=FLAGS | 0x100)
    starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert await_trap(taken, guest) == Trap(traps.DEBUG, context.rip + 12)
