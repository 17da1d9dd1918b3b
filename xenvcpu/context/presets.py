# SPDX-License-Identifier: MIT
"""Contexts that people use again and again, each under the name of the mode it starts in."""

from __future__ import annotations

from typing import Callable, Mapping

from xenvcpu.abi.registers import CR0_ET, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, EFLAGS_MBS
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext


_FLAT = 0xFFFFFFFF
CODE_32 = Segment(0, _FLAT, 0xC9B)
DATA = Segment(0, _FLAT, 0xC93)
TASK = Segment(0, 0x67, 0x8B)
_SIXTEEN = 0xFFFF


def flat32(eip: int = 0, esp: int = 0, eax: int = 0) -> VcpuContext:
    """32-bit protected mode, flat segments, paging off.

    What hvmloader (4.19 and later) gives each application processor, what libxc gives the
    boot vcpu, and what the Xen test framework writes by hand.
    """
    return VcpuContext(
        rip=eip, rsp=esp, rax=eax, rflags=EFLAGS_MBS, cr0=CR0_PE | CR0_ET,
        cs=CODE_32, ds=DATA, ss=DATA, es=DATA, tr=TASK,
    )


def real16(cs: int = 0, ip: int = 0, sp: int = 0) -> VcpuContext:
    """Real mode at CS:IP, as after a SIPI; for boot code that expects to be started that way.

    The 16-bit mode of the 2015 draft, which the final interface dropped: 32B with CR0.PE
    clear does the same. VCPUOP_initialise loads selector 0, so code that reads CS before
    its first far jump needs `cs_sel`, which only the dom0 interface carries.
    """
    data = Segment(0, _SIXTEEN, 0x93)
    return VcpuContext(
        rip=ip, rsp=sp, rflags=EFLAGS_MBS, cr0=CR0_ET, cs=Segment(cs << 4, _SIXTEEN, 0x9B), ds=data, ss=data, es=data,
        tr=Segment(0, _SIXTEEN, 0x8B),
    )


def pae32(eip: int = 0, esp: int = 0, cr3: int = 0) -> VcpuContext:
    """32-bit protected mode with PAE paging; for 32-bit kernels that land behind their page tables.

    `cr3` points at the four PDPTEs: below 4 GiB, 32-byte aligned, in memory that exists.
    """
    return flat32(eip, esp).replace(cr0=CR0_PG | CR0_ET | CR0_PE, cr3=cr3, cr4=CR4_PAE)


def compat32(eip: int = 0, esp: int = 0, cr3: int = 0) -> VcpuContext:
    """Compatibility mode: 32-bit code on long-mode page tables.

    For a kernel that shares its 64-bit page tables and switches to 64-bit code itself.
    """
    return pae32(eip, esp, cr3).replace(efer=EFER_LME | EFER_LMA)


def long64(rip: int = 0, rsp: int = 0, cr3: int = 0) -> VcpuContext:
    """64-bit mode: straight into an entry point behind the kernel's own page tables.

    For a 64-bit kernel or unikernel that needs no trampoline. `cr3` points at the PML4.
    """
    return VcpuContext(
        Mode.VCPU_HVM_MODE_64B, rip=rip, rsp=rsp, rflags=EFLAGS_MBS, cr0=CR0_PG | CR0_ET | CR0_PE, cr3=cr3, cr4=CR4_PAE,
        efer=EFER_LME | EFER_LMA,
    )


def pvh(eip: int = 0, ebx: int = 0) -> VcpuContext:
    """A PVH boot vcpu: flat 32-bit at the image's PHYS32_ENTRY, `ebx` points at hvm_start_info.

    What libxc builds for vcpu 0 of a PVH guest (docs/misc/pvh.pandoc).
    """
    return flat32(eip).replace(rbx=ebx, rflags=0)


PRESETS: Mapping[str, Callable[[], VcpuContext]] = {
    preset.__name__: preset for preset in (flat32, real16, pae32, compat32, long64, pvh)
}
"""The presets by name; each also takes its entry point and stack."""
