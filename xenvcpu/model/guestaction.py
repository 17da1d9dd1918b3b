# SPDX-License-Identifier: MIT
"""What software inside a guest does to its vcpus without a hypercall: HLT, and INIT and SIPI from a local APIC.

Source: hvm_hlt, hvm_vcpu_down (arch/x86/hvm/hvm.c), vlapic_init_sipi_one (arch/x86/hvm/vlapic.c), Xen 4.17.
"""

from __future__ import annotations

from xenvcpu.abi.registers import CR0_ET, EFLAGS_IF
from xenvcpu.abi import cpu_record
from xenvcpu.model.domain import Domain, Shutdown
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.running import settle
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules import effect

_REAL_AR = 0x93


def _down(domain: Domain, vcpu: Vcpu) -> None:
    """Put a vcpu down; the last one powers the domain off, in every release (hvm_vcpu_down)."""
    vcpu.is_down = True
    if not any(domain.online):
        domain.shut_down(Shutdown.poweroff)


def halt(domain: Domain, vcpuid: int) -> None:
    """Execute HLT: sleep. With interrupts disabled that takes the vcpu down, and it stays initialised."""
    vcpu = domain.vcpus[vcpuid]
    vcpu.is_blocked = bool(vcpu.image["rflags"] & EFLAGS_IF)
    if not vcpu.is_blocked:
        _down(domain, vcpu)


def interrupt(host: Hypervisor, domain: Domain, vcpuid: int) -> None:
    """Receive an event, which ends a sleep (vcpu_unblock); one that is down runs when it is up."""
    domain.vcpus[vcpuid].is_blocked = False
    settle(host)


def init(domain: Domain, vcpuid: int) -> None:
    """Receive an INIT: down and uninitialised, so that VCPUOP_initialise works again. Ignored by a fresh vcpu."""
    vcpu = domain.vcpus[vcpuid]
    if vcpu.is_initialised:
        _down(domain, vcpu)
        vcpu.reset()


def sipi(host: Hypervisor, domain: Domain, vcpuid: int, vector: int) -> None:
    """Receive a SIPI: run from `vector << 12` in real mode. Ignored by an initialised vcpu."""
    vcpu = domain.vcpus[vcpuid]
    if vcpu.is_initialised:
        return
    real = {f"{name}_{part}": 0 for name in ("ds", "es", "fs", "gs", "ss") for part in ("sel", "base")}
    real.update({f"{name}_limit": 0xFFFF for name in (*cpu_record.SEGMENTS, "gdtr", "idtr")})
    real.update({f"{name}_arbytes": _REAL_AR for name in ("ds", "es", "fs", "gs", "ss")})
    vcpu.image = effect.FRESH.with_values(
        **real, cs_sel=vector << 8, cs_base=vector << 12, cs_arbytes=0x9B, tr_arbytes=0x8B, ldtr_arbytes=0x82,
        cr0=CR0_ET, rdx=0xF00,
    )
    vcpu.set_tsc(0, host.clock.tsc)
    vcpu.is_initialised, vcpu.is_down = True, False
    settle(host)
