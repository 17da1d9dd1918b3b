# SPDX-License-Identifier: MIT
"""What happens when a vcpu may run: the processor enters its state, or the domain dies of it."""

from __future__ import annotations

from xenvcpu.model import judge
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.vcpu import Vcpu

_REFUSAL = {
    "intel": "d{domid}v{vcpuid} vmentry failure (reason 0x80000021): Invalid guest state (0)",
    "amd": "d{domid}v{vcpuid} Unexpected vmexit: reason 0xffffffff, exitinfo1 0, exitinfo2 0",
}
_TRIPLE_FAULTS = {
    "intel": frozenset(("rip-outside-limit",)),
    "amd": frozenset(("rip-outside-limit", "rip-beyond-canonical", "lme-without-lma")),
}
"""The lints of states that the processor enters: the first instruction faults, and so does each fault in turn."""


def settle(host: Hypervisor) -> None:
    """Let every vcpu run that may, until it sleeps. Call it at the end of each hypercall.

    One that sleeps is not woken by a load, nor by VCPUOP_up (vcpu_wake skips what has _VPF_blocked). A vcpu in a state
    that the processor cannot enter crashes its domain.
    """
    for domain in host.domains.values():
        if not domain.is_stopped and domain.is_hvm:
            for vcpu in domain.online:
                if not vcpu.is_blocked and not vcpu.pause_count:
                    _enter(host, domain, vcpu)


def _enter(host: Hypervisor, domain: Domain, vcpu: Vcpu) -> None:
    if domain.shutdown is not None:
        return
    state = vcpu.image
    fatal = {finding.rule for finding in judge.fatal(host, domain, state)}
    if fatal and fatal <= _TRIPLE_FAULTS[host.vendor]:
        host.triple_fault(domain, vcpu.vcpuid)
        return
    if fatal:
        reason = _REFUSAL[host.vendor].format(domid=domain.domid, vcpuid=vcpu.vcpuid)
        host.crash(domain, vcpu.vcpuid, reason)
        return
    if state["pending_event"]:
        vcpu.image = state.with_values(pending_event=0, error_code=0)
        vcpu.accepted = vcpu.state, domain.features
    vcpu.enter()
    vcpu.runs += 1
