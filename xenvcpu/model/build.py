# SPDX-License-Identifier: MIT
"""Building domains as a toolstack leaves them: their devices, and vcpus whose save records are those of a fresh guest.

Source: libxl and libxc of Xen 4.17; vlapic_reset, vmce_init_vcpu, hvm_vcpu_cacheattr_init.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import replace
from typing import Dict, Optional

from xenvcpu.abi.registers import CR0_ET, CR0_PE
from xenvcpu.abi import cpu_record, mtrr
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.errors import ContextError
from xenvcpu.model import extended
from xenvcpu.model.domain import HVM_MAX_VCPUS, LEGACY_MAX_VCPUS, Domain, Kind
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.ioreqserver import IoreqServer
from xenvcpu.model.memory import Memory
from xenvcpu.model.records import kinds
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules import effect
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release, Since

FEATURES = Features(cr4_valid=0x3707FF, efer_valid=0xD01, maxphysaddr=46)
"""A recent processor: VME to OSXMMEXCPT, FSGSBASE, PCID, OSXSAVE, SMEP, SMAP; SYSCALL, long mode, NX."""

LINUX = effect.FRESH.with_values(
    rip=0xFFFFFFFF81C01234, rsp=0xFFFFFFFF82803E48, rflags=0x246, rbx=0x9000, cr0=0x80050033, cr3=0x2810000,
    cr4=0x3406F0, msr_efer=0xD01, cs_sel=0x10, cs_arbytes=0xA9B, ss_sel=0x18, ss_arbytes=0xC93, ds_arbytes=0,
    es_arbytes=0, fs_arbytes=0, gs_arbytes=0, gs_base=0xFFFF888003C00000, tr_sel=0x40, tr_base=0xFFFFFE0000003000,
    tr_limit=0x206F, gdtr_base=0xFFFFFE0000001000, gdtr_limit=0x7F, idtr_base=0xFFFFFE0000000000, idtr_limit=0xFFF,
    msr_star=0x0023001000000000, msr_lstar=0xFFFFFFFF82000000, msr_cstar=0xFFFFFFFF82001000, msr_syscall_mask=0x47700,
    flags=cpu_record.FPU_INITIALISED,
)
"""A boot vcpu that runs Linux in 64-bit mode."""

_MTRR_CAP, _MTRR_FIXED_WB, _MTRR_WB = 0x508, 0xC06, 0x806
_SETS_PVH_MTRR = Since("4.12")
_HAS_LAPIC = Since("4.8")
_HVMLOADER_INITIALISES = Since("4.19")
_MCG_INTEL, _MCG_AMD = 0x1000802, 0x2
_HVM_DEVICES = (
    Typecode.PIC, Typecode.IOAPIC, Typecode.PIT, Typecode.RTC, Typecode.HPET, Typecode.PMTIMER,
)
_ALL_DEVICES = (Typecode.PCI_IRQ, Typecode.ISA_IRQ, Typecode.PCI_LINK)
_LAPIC_VERSION, _LAPIC_MASKED = 0x50014, 0x10000
_NAMESPACE = uuid.UUID("6b6c7e3c-5d0a-4f0e-9a5e-7c1f1b0e2a11")


def _lapic(vcpuid: int, length: int) -> bytes:
    """The hidden part: base MSR (enabled, BSP), switched off by software."""
    base = 0xFEE00000 | 1 << 11 | (0 if vcpuid else 1 << 8)
    return struct.pack("<QIIQ", base, 0 if not vcpuid else 2, 1, 0).ljust(length, b"\0")


def _lapic_regs(vcpuid: int) -> bytes:
    page = bytearray(1024)
    registers = {0x20: vcpuid * 2 << 24, 0x30: _LAPIC_VERSION, 0xE0: 0xFFFFFFFF, 0xF0: 0x1FF if not vcpuid else 0xFF}
    registers.update({register: _LAPIC_MASKED for register in range(0x320, 0x380, 0x10)})
    for register, value in registers.items():
        struct.pack_into("<I", page, register, value)
    return bytes(page)


def _mtrr(kind: Kind, release: Release) -> bytes:
    is_default_wb = kind is Kind.PVH and release in _SETS_PVH_MTRR
    def_type = _MTRR_FIXED_WB if kind is Kind.HVM else _MTRR_WB if is_default_wb else 0
    values = {"msr_pat_cr": mtrr.PAT_RESET, "msr_mtrr_cap": _MTRR_CAP, "msr_mtrr_def_type": def_type}
    if kind is Kind.HVM:
        # hvmloader: the MMIO hole is uncached; the second range shows where a save has the first one in all places.
        values.update(zip(mtrr.VARIABLE, (0xF0000000, 0x3FFFF0000800, 0xE0000000, 0x3FFFF0000800)))
        values.update(dict.fromkeys(mtrr.FIXED, 0x0606060606060606))
    return mtrr.LAYOUT.image(values).pack()


def _records(host: Hypervisor, domain: Domain, vcpuid: int) -> Dict[int, bytes]:
    known = kinds(host.release)
    records: Dict[int, bytes] = {}
    if domain.has_lapic:
        records[Typecode.LAPIC] = _lapic(vcpuid, known[Typecode.LAPIC].length or 0)
        records[Typecode.LAPIC_REGS] = _lapic_regs(vcpuid)
    records[Typecode.MTRR] = _mtrr(domain.kind, host.release)
    mcg = _MCG_AMD if host.vendor == "amd" else _MCG_INTEL
    records[Typecode.VMCE_VCPU] = mcg.to_bytes(known[Typecode.VMCE_VCPU].length or 0, "little")
    records[Typecode.TSC_ADJUST] = bytes(8)
    return records


def _add_devices(domain: Domain, release: Release) -> None:
    lengths = kinds(release)
    for typecode in (*_ALL_DEVICES, *(_HVM_DEVICES if domain.kind is Kind.HVM else ())):
        for instance in range(lengths[typecode].instances):
            domain.records[typecode, instance] = bytes(lengths[typecode].length or 0)


def _add_vcpus(host: Hypervisor, domain: Domain, count: int) -> None:
    for vcpuid in range(count):
        records = _records(host, domain, vcpuid)
        vcpu = Vcpu(vcpuid, records=records, has_vcpu_info=vcpuid < LEGACY_MAX_VCPUS)
        vcpu.set_tsc(0, host.clock.tsc)
        domain.vcpus.append(vcpu)


def _boot_fpu() -> bytes:
    """An FXSAVE image in use: FCW, MXCSR and something in XMM0."""
    image = bytearray(cpu_record.FPU_SIZE)
    struct.pack_into("<H", image, 0, 0x37F)
    struct.pack_into("<II", image, 24, 0x1FA0, 0xFFFF)
    image[160:176] = bytes(range(1, 17))
    return bytes(image)


def run(host: Hypervisor, domain: Domain, vcpuid: int, state: Image = LINUX) -> Vcpu:
    """Let a vcpu be up in a state, with its FPU and, where the host has XSAVE, its AVX registers in use."""
    vcpu = domain.vcpus[vcpuid]
    legacy = _boot_fpu()
    cr4 = state["cr4"] & (domain.features.cr4_valid or state["cr4"])
    vcpu.image = replace(state.with_values(cr4=cr4), rest=legacy)
    if host.xfeature_mask:
        vcpu.xsave = extended.make(host.xfeature_mask, legacy, bytes(range(16)) * 16)
    vcpu.is_initialised, vcpu.is_down = True, False
    vcpu.set_tsc(domain.vcpus[0].tsc_at(host.clock.tsc), host.clock.tsc)
    vcpu.enter()
    return vcpu


def _require(name: str, vcpus: int) -> None:
    if not 1 <= vcpus <= HVM_MAX_VCPUS:
        raise ContextError(f"{name}: {vcpus} vcpus; a domain has 1 to {HVM_MAX_VCPUS}", field="domain", value=vcpus)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ContextError(f"{name!r} is no name of a domain: not UTF-8", field="domain", value=name) from error


def add_domain(
    host: Hypervisor, name: str, vcpus: int, *, kind: Kind = Kind.PVH, online: int = 1, domid: Optional[int] = None,
    features: Features = FEATURES, paused: bool = False, megabytes: int = 64, is_hap: bool = True,
    available: Optional[int] = None,
) -> Domain:
    """Create a guest and let it boot.

    Args:
        host: Where.
        name: Its name.
        vcpus: How many it has, up to 128.
        kind: PVH or HVM.
        online: How many run, from vcpu 0 on; the others were never started.
        domid: Its number; the next free one if None.
        features: What its CPU policy allows.
        paused: Whether a toolstack holds a pause on it.
        megabytes: Its memory.
        is_hap: Hardware-assisted paging; shadow paging else.
        available: How many vcpus its toolstack wants online, from vcpu 0 on; all if None.

    Raises:
        ContextError: No vcpus, or more than 128; a name that xenstore cannot hold.
    """
    _require(name, vcpus)
    number = max(host.domains, default=-1) + 1 if domid is None else domid
    domain = Domain(
        number, name, kind, features=features, handle=uuid.uuid5(_NAMESPACE, name), pause_count=int(paused),
        is_hap=is_hap, tsc_khz=host.clock.khz, memory=Memory(megabytes * 256),
        has_lapic=kind is Kind.HVM or host.release in _HAS_LAPIC,
        ioreq_servers={0: IoreqServer()} if kind is Kind.HVM else {},
        offline=list(range(vcpus if available is None else available, vcpus)),
    )
    _add_devices(domain, host.release)
    _add_vcpus(host, domain, vcpus)
    host.domains[number] = domain
    domain.sync_tsc = host.clock.tsc
    host.clock.advance()
    for vcpuid in range(online):
        run(host, domain, vcpuid)
    return domain


def add_dom0(host: Hypervisor, vcpus: int = 2) -> Domain:
    """Create the control domain: PV, with all its vcpus up."""
    domain = Domain(0, "Domain-0", Kind.PV, is_privileged=True, memory=Memory(0x40000))
    domain.vcpus = [Vcpu(vcpuid, is_initialised=True, is_down=False) for vcpuid in range(vcpus)]
    host.domains[0] = domain
    return domain


def leave_as_hvmloader(host: Hypervisor, domain: Domain) -> None:
    """Leave every vcpu but the first as hvmloader does: from 4.19 on initialised and down, fresh before."""
    if host.release not in _HVMLOADER_INITIALISES:
        return
    for vcpu in domain.vcpus[1:]:
        vcpu.image = effect.FRESH.with_values(rip=0x1000, rsp=0x9000, cr0=CR0_PE | CR0_ET)
        vcpu.is_initialised, vcpu.is_down = True, True
