# SPDX-License-Identifier: MIT
"""Making a domain as it was declared: idempotent, and told what changes before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Optional, Tuple, Union

from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError
from xenvcpu.execute import StartReport
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.plan import make_plan
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.toolstacks.declaration import Declaration

Domain = Union[Dom0Domain, GuestDomain]


@dataclass(frozen=True)
class Change:
    """What making a domain as declared changes, or has changed.

    Attributes:
        domid: The domain; None for the caller's own.
        name: Its name, where it has one.
        vcpuids: The vcpus that are declared.
        stop: Those that run, and are stopped first since the declaration says `reset`.
        start: Those that are started.
        report: What the start did; None before it, and where nothing was to be started.
    """

    domid: Optional[int]
    name: Optional[str]
    vcpuids: Tuple[int, ...]
    stop: Tuple[int, ...]
    start: Tuple[int, ...]
    report: Optional[StartReport] = None

    @property
    def changed(self) -> bool:
        """Whether anything is, or was, to be done."""
        return bool(self.stop or self.start)

    @property
    def has_begun(self) -> bool:
        """Whether a secondary vcpu that is declared ran before: the guest is not one that has just been created."""
        return any(vcpuid for vcpuid in self.vcpuids if vcpuid in self.stop or vcpuid not in self.start)

    def as_dict(self) -> Dict[str, Any]:
        """The change as `--json` prints it."""
        return {
            "domid": self.domid, "name": self.name, "vcpus": list(self.vcpuids), "changed": self.changed,
            "stopped": list(self.stop), "started": list(self.start),
        }


def foresee(domain: Domain, declaration: Declaration) -> Change:
    """What `apply` would do now; nothing is touched.

    Raises:
        DeclarationError: The domain has no such vcpu.
        XenVcpuError: It cannot be looked at.
    """
    states = {state.vcpuid: state for state in domain.vcpus()}
    vcpuids = declaration.vcpuids(len(states))
    online = tuple(vcpuid for vcpuid in vcpuids if states[vcpuid].is_online)
    start = vcpuids if declaration.reset else tuple(vcpuid for vcpuid in vcpuids if vcpuid not in online)
    return Change(domain.domid, domain.name, vcpuids, online if declaration.reset else (), start)


def apply(domain: Domain, declaration: Declaration, *, features: Features = UNKNOWN) -> Change:
    """Start the declared vcpus that are down; with `reset`, stop those that run first. Without it, again does nothing.

    With `reset` every context is judged before anything is stopped; a start that Xen then refuses leaves them stopped.

    Raises:
        DeclarationError: The domain has no such vcpu.
        RefusedContextError: A rule refuses a context; nothing was touched.
        DomainError: `reset`, from inside the guest.
        XenVcpuError: As `Dom0Domain.start` and `stop`.
    """
    return carry_out(domain, declaration, foresee(domain, declaration), features=features)


def carry_out(domain: Domain, declaration: Declaration, change: Change, *, features: Features = UNKNOWN) -> Change:
    """Do what `foresee` said. Raises as `apply`."""
    render = declaration.template.render
    if not change.start:
        return change
    if isinstance(domain, GuestDomain):
        if declaration.reset:
            raise DomainError("inside a guest a vcpu that ran cannot be reset: Xen allows that from dom0 only")
        report = domain.start(change.start, render, features=features)
    else:
        plan = make_plan(domain.info, domain.name, change.start, render, domain.release, features=features)
        if change.stop:
            domain.stop(change.stop)
        report = domain.execute(plan)
    return replace(change, report=report)
