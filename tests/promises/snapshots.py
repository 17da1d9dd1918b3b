# SPDX-License-Identifier: MIT
"""All that the model of Xen holds of its domains, so that two worlds can be compared."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any, Dict, Tuple

from xenvcpu.abi.save_stream import Typecode
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.vcpu import Vcpu

_OF_TIME = frozenset({
    "sync_tsc", "tsc_offset", "cpu_time", "is_blocked", "runs", "accepted", "has_entered", "ioreq_servers",
})
"""What goes on with time, and what the model remembers of its own work."""
_IN_PARTS = frozenset({"vcpus", "memory", "state", "xsave", "records"})


def _names(kind: type) -> Tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in _OF_TIME | _IN_PARTS)


_VCPU, _DOMAIN = _names(Vcpu), _names(Domain)
_of_vcpu, _of_domain = attrgetter(*_VCPU), attrgetter(*_DOMAIN)
_VCPU_NAMES = (*_VCPU, "records", "registers", "xsave")
_DOMAIN_NAMES = (*_DOMAIN, "records", "pages")

Snapshot = Dict[str, Tuple[Any, ...]]
"""The values of each domain, as `web`, and of each vcpu, as `web.1`."""


def snapshot(host: Hypervisor) -> Snapshot:
    """All of it."""
    found: Snapshot = {}
    for domain in host.domains.values():
        found[domain.name] = (*_of_domain(domain), dict(domain.records), domain.memory.pages)
        for vcpu in domain.vcpus:
            records, registers = dict(vcpu.records), (vcpu.state, vcpu.xsave)
            if not vcpu.is_initialised:
                # Registers are nobody's before a first state is given: whoever gives it sets them.
                registers = (None, None)
                del records[Typecode.MTRR]
            found[f"{domain.name}.{vcpu.vcpuid}"] = (*_of_vcpu(vcpu), records, *registers)
    return found


def names(owner: str) -> Tuple[str, ...]:
    """The names of the values of a domain or a vcpu."""
    return _VCPU_NAMES if "." in owner else _DOMAIN_NAMES


def value(of: Snapshot, path: str) -> Any:
    """One value, by a path as `web.1.registers`."""
    owner, _, name = path.rpartition(".")
    return of[owner][names(owner).index(name)]


def with_value(of: Snapshot, path: str, new: object) -> Snapshot:
    """A snapshot with another value."""
    owner, _, name = path.rpartition(".")
    values = list(of[owner])
    values[names(owner).index(name)] = new
    return {**of, owner: tuple(values)}


def differing(one: Snapshot, other: Snapshot) -> Tuple[str, ...]:
    """The paths of what is not the same."""
    found = [owner for owner in {**one, **other} if (owner in one) != (owner in other)]
    for owner in one:
        if owner in other and one[owner] != other[owner]:
            both = zip(names(owner), one[owner], other[owner])
            found += [f"{owner}.{name}" for name, here, there in both if here != there]
    return tuple(found)


def clocks(host: Hypervisor) -> Dict[Tuple[int, int], int]:
    """The TSC of each vcpu that is up: it may never go back."""
    now = host.clock.tsc
    return {
        (domain.domid, vcpu.vcpuid): vcpu.tsc_at(now)
        for domain in host.domains.values() if domain.is_hvm for vcpu in domain.online
    }
