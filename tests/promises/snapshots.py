# SPDX-License-Identifier: MIT
"""All that the model of Xen holds of its domains, so that two worlds can be compared."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Dict, Iterator, Tuple

from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.vcpu import Vcpu

_OF_TIME = frozenset({"sync_tsc", "tsc_offset", "cpu_time", "runs", "accepted", "entered"})
"""What goes on with time, and what the model remembers of its own work."""
_IN_PARTS = frozenset({"vcpus", "memory", "state", "xsave"})

Snapshot = Dict[str, Any]


def _values(of: object) -> Iterator[Tuple[str, Any]]:
    for field in fields(of):  # type: ignore[arg-type]
        if field.name not in _OF_TIME | _IN_PARTS:
            value = getattr(of, field.name)
            yield field.name, dict(value) if isinstance(value, dict) else value


def _of_vcpu(vcpu: Vcpu) -> Iterator[Tuple[str, Any]]:
    yield from _values(vcpu)
    # Registers are nobody's before a first state is given: whoever gives it sets them.
    yield "registers", vcpu.state if vcpu.is_initialised else None
    yield "xsave", vcpu.xsave if vcpu.is_initialised else None


def _of_domain(domain: Domain) -> Iterator[Tuple[str, Any]]:
    yield from _values(domain)
    yield "pages", domain.memory.pages


def snapshot(host: Hypervisor) -> Snapshot:
    """Every value, by a path like `web.1.registers`."""
    found: Snapshot = {"domains": tuple(host.domains)}
    for domain in host.domains.values():
        found.update({f"{domain.name}.{name}": value for name, value in _of_domain(domain)})
        for vcpu in domain.vcpus:
            found.update({f"{domain.name}.{vcpu.vcpuid}.{name}": value for name, value in _of_vcpu(vcpu)})
    return found


def differing(one: Snapshot, other: Snapshot) -> Tuple[str, ...]:
    """The paths of what is not the same."""
    return tuple(path for path in {**one, **other} if one.get(path) != other.get(path))


def clocks(host: Hypervisor) -> Dict[Tuple[int, int], int]:
    """The TSC of each vcpu that is up: it may never go back."""
    now = host.clock.tsc
    return {
        (domain.domid, vcpu.vcpuid): vcpu.tsc_at(now)
        for domain in host.domains.values() if domain.is_hvm for vcpu in domain.online
    }
