# SPDX-License-Identifier: MIT
"""Where Xen looks into the guest's memory when it takes a CR3.

Source: arch_set_info_hvm_guest, hvm_load_cpu_ctxt's vendor hooks, vmx_load_pdptrs; Xen 4.14 and 4.17.
"""

from __future__ import annotations

from xenvcpu.abi.registers import CR0_PG, CR4_PAE, CR4_PCIDE, EFER_LMA
from xenvcpu.abi.layout import Image
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.memory import PAGE
from xenvcpu.rules.release import Until

_WANTS_ALIGNED = Until("4.15")
_ALIGNMENT = 32


def _has_table(domain: Domain, state: Image) -> bool:
    return domain.memory.has(state["cr3"] // PAGE)


def is_cr3_refused(domain: Domain, state: Image) -> bool:
    """Whether shadow paging refuses this CR3: paging is on, and there is no memory at it."""
    return not domain.is_hap and bool(state["cr0"] & CR0_PG) and not _has_table(domain, state)


def crashes(host: Hypervisor, domain: Domain, state: Image) -> bool:
    """Whether reading the four PDPTEs for VT-x with HAP crashes the domain."""
    is_pae = bool(state["cr0"] & CR0_PG and state["cr4"] & CR4_PAE) and not state["msr_efer"] & EFER_LMA
    if host.vendor != "intel" or not domain.is_hap or not is_pae:
        return False
    is_misaligned = host.release in _WANTS_ALIGNED and state["cr3"] % _ALIGNMENT and not state["cr4"] & CR4_PCIDE
    return bool(is_misaligned) or not _has_table(domain, state)
