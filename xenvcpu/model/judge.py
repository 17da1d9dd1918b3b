# SPDX-License-Identifier: MIT
"""What the rules say to a state, in one domain of one host: the model answers with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Sequence, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.model.answer import HostDown
from xenvcpu.rules import cpu_record, entry, vcpuop
from xenvcpu.rules import host as host_rules
from xenvcpu.rules.efer import efer_rules
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Since
from xenvcpu.rules.verdict import Finding, Level

VENDOR_RULES = frozenset(rule.name for chain in cpu_record.STAGES[-1] for rule in chain)
"""What the hook of VT-x or SVM refuses in a CPU record: the domain is crashed for it as well."""
AFTER_STORE = frozenset(("cr4-bit", *(rule.name for rule in efer_rules("efer", lambda *_: "", knows_paging=False))))
"""What VCPUOP_initialise tests when it has already stored the registers in the vcpu."""
_LOADS_BY_DOMAIN = Since("4.9.4", "4.10.3", "4.11.2", "4.12")
_BY_CALLER = frozenset(("flags-unknown",))
"""Rules of the load whose line names the calling vcpu (gprintk), not the domain."""


def features(host: Hypervisor, domain: Domain, vcpu: Optional[Vcpu] = None) -> Features:
    """What bounds the registers of a domain's vcpus on this host."""
    registered = None if vcpu is None else vcpu.has_vcpu_info
    return replace(
        domain.features, vendor=host.vendor, is_hap=domain.is_hap, registered_vcpu_info=registered,
        is_debug_build=host.is_debug_build,
    )


def refusals_before_reading(host: Hypervisor, domain: Domain, vcpu: Vcpu) -> Tuple[Finding, ...]:
    """Why VCPUOP_initialise refuses this vcpu before it reads any context; empty if it does not."""
    return vcpuop.refusals_before_reading(host.release, features(host, domain, vcpu), vcpu.vcpuid)


def refusals_of_initialise(host: Hypervisor, domain: Domain, vcpu: Vcpu, context: Image) -> Tuple[Finding, ...]:
    """Why VCPUOP_initialise refuses this `struct vcpu_hvm_context`, in Xen's order; empty if it does not."""
    return vcpuop.refusals(context, host.release, features(host, domain, vcpu), vcpuid=vcpu.vcpuid)


def refusals_of_load(host: Hypervisor, domain: Domain, vcpu: Vcpu, record: Image) -> Tuple[Finding, ...]:
    """Why a load refuses this CPU record, in Xen's order; empty if it does not."""
    bounds = features(host, domain)
    if host.features is not None and host.release not in _LOADS_BY_DOMAIN:
        bounds = replace(bounds, cr4_valid=host.features.cr4_valid, efer_valid=host.features.efer_valid)
    return cpu_record.refusals(record, host.release, bounds, vcpuid=vcpu.vcpuid)


def survive(host: Hypervisor, domain: Domain, state: Image) -> None:
    """Nothing, where Xen outlives the load of this state.

    Raises:
        HostDown: It does not.
    """
    for finding in host_rules.faults(state, host.release, features(host, domain)):
        raise HostDown(f"Xen faults on {finding.field} = {finding.value:#x} [{finding.rule}]")


def fatal(host: Hypervisor, domain: Domain, state: Image) -> Sequence[Finding]:
    """Why the processor cannot enter this state; empty if it can."""
    return [f for f in entry.lints(state, host.release, features(host, domain)) if f.level is Level.FATAL]


def lines_of_load(finding: Finding, domid: int, vcpuid: int) -> Tuple[str, ...]:
    """What Xen prints for a CPU record that it refuses, when dom0 loads it."""
    if finding.console is None:
        return ()
    line = finding.console.format(domid=domid, vcpuid=vcpuid)
    return (f"d0v0 {line}" if finding.rule in _BY_CALLER else line,)
