# SPDX-License-Identifier: MIT
"""Making a domain as it was declared: idempotent, and told what changes before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Optional, Tuple, Union

from xenvcpu import vcpuset
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.availability import note
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, XenVcpuError
from xenvcpu.execute import StartReport
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.guestplan import GuestPlan
from xenvcpu.plan import Plan
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.verdict import Finding
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.declaration import vcpuids as meant

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
        initialised: Those that were down, but initialised: they ran, and the guest itself took them down.
        offline: Those that the toolstack has offline: left so where the declaration is of all, started else.
    """

    domid: Optional[int]
    name: Optional[str]
    vcpuids: Tuple[int, ...]
    stop: Tuple[int, ...]
    start: Tuple[int, ...]
    report: Optional[StartReport] = None
    initialised: Tuple[int, ...] = ()
    offline: Tuple[int, ...] = ()

    @property
    def notes(self) -> Tuple[str, ...]:
        """What there is to say of vcpus that the toolstack has offline."""
        return note(self.offline, is_left=not set(self.offline) & set(self.vcpuids))

    @property
    def changed(self) -> bool:
        """Whether anything is, or was, to be done."""
        return bool(self.stop or self.start)

    @property
    def has_begun(self) -> bool:
        """Whether a secondary vcpu that is declared ran before: the guest is not one that has just been created."""
        return bool(self.stop or self.initialised or set(self.vcpuids) - set(self.start))

    def as_dict(self) -> Dict[str, Any]:
        """The change as `--json` prints it."""
        return {
            "domid": self.domid, "name": self.name, "vcpus": list(self.vcpuids), "changed": self.changed,
            "stopped": list(self.stop), "started": list(self.start), "offline": list(self.offline),
        }


def foresee(domain: Domain, declaration: Declaration) -> Change:
    """What `apply` would do now; nothing is touched, and no vcpu that runs is stopped to see it.

    Raises:
        DeclarationError: The domain has no such vcpu.
        XenVcpuError: It cannot be looked at.
    """
    states = {state.vcpuid: state for state in domain.vcpus(registers=False)}
    vcpuids = declaration.vcpuids(len(states), domain.kept_offline)
    offline = domain.kept_offline(vcpuset.secondary(states) if declaration.is_of_all else vcpuids)
    online = tuple(vcpuid for vcpuid in vcpuids if states[vcpuid].is_online)
    start = vcpuids if declaration.reset else tuple(vcpuid for vcpuid in vcpuids if vcpuid not in online)
    spent = tuple(vcpuid for vcpuid in vcpuids if vcpuid not in online and states[vcpuid].is_initialised)
    return Change(
        domain.domid, domain.name, vcpuids, online if declaration.reset else (), start, initialised=spent,
        offline=offline,
    )


def apply(
    domain: Domain, declaration: Declaration, *, features: Features = UNKNOWN, allow: Allowances = NONE
) -> Change:
    """Start the declared vcpus that are down; with `reset`, stop those that run first. Without it, again does nothing.

    With `reset` every context is judged before anything is stopped; a start that Xen then refuses leaves them stopped.

    Raises:
        DeclarationError: The domain has no such vcpu.
        RefusedContextError: A rule refuses a context; nothing was touched.
        DomainError: `reset`, from inside the guest.
        XenVcpuError: As `Dom0Domain.start` and `stop`.
    """
    return carry_out(domain, declaration, foresee(domain, declaration), features=features, allow=allow)


def carry_out(
    domain: Domain, declaration: Declaration, change: Change, *, features: Features = UNKNOWN,
    allow: Allowances = NONE,
) -> Change:
    """Do what `foresee` said. Raises as `apply`."""
    if not change.start:
        return change
    plan = _plan(domain, declaration, change, features, allow)
    if isinstance(domain, GuestDomain):
        assert isinstance(plan, GuestPlan)
        report = domain.execute(plan)
    else:
        assert isinstance(plan, Plan)
        if change.stop:
            domain.stop(change.stop, allow=allow)
        try:
            report = domain.execute(plan)
        except XenVcpuError as error:
            if change.stop:
                # Put back is what the start found: these had been stopped before it.
                error.restored = False
                gone = f"vcpus {vcpuset.show(change.stop)} were stopped to be started anew, and are down"
                error.left = (*error.left, gone)
            raise
    return replace(change, report=report)


def judge(
    domain: Domain, declaration: Declaration, change: Change, *, features: Features = UNKNOWN,
    allow: Allowances = NONE,
) -> Tuple[Tuple[int, Finding], ...]:
    """What the rules find in what `foresee` said would be started, as (vcpuid, finding); nothing is touched.

    Raises:
        RefusedContextError: A rule refuses a context.
        DomainError: `reset`, from inside the guest.
    """
    if not change.start:
        return ()
    plan = _plan(domain, declaration, change, features, allow)
    if isinstance(plan, Plan):
        return tuple((vcpu.vcpuid, finding) for vcpu in plan.vcpus for finding in vcpu.verdict.findings)
    return tuple((vcpuid, finding) for vcpuid, _, verdict in plan.contexts for finding in verdict.findings)


def _plan(
    domain: Domain, declaration: Declaration, change: Change, features: Features, allow: Allowances
) -> Union[Plan, GuestPlan]:
    render = declaration.template.render
    if isinstance(domain, GuestDomain):
        if declaration.reset:
            raise DomainError("inside a guest a vcpu that ran cannot be reset: Xen allows that from dom0 only")
        return domain.plan(change.start, render, features=features, allow=allow)
    return domain.foresee(change.start, render, features=features, allow=allow)


def foresee_stop(domain: Domain, vcpus: str) -> Change:
    """What stopping vcpus would do now; nothing is touched.

    From dom0 one that is down and initialised is to be made fresh too; inside a guest that cannot be done.

    Args:
        domain: The domain.
        vcpus: Which vcpus: `1-3`, or `all` but the boot vcpu.

    Raises:
        DeclarationError: The domain has no such vcpu.
        XenVcpuError: It cannot be looked at.
    """
    states = domain.vcpus(registers=False)
    vcpuids = meant(vcpus, len(states), "vcpus")
    is_inside = isinstance(domain, GuestDomain)
    stop = (
        vcpuid for vcpuid in vcpuids
        if states[vcpuid].is_online or states[vcpuid].is_initialised and not is_inside
    )
    return Change(domain.domid, domain.name, vcpuids, tuple(stop), ())


def stop(domain: Domain, change: Change, *, allow: Allowances = NONE) -> Change:
    """Do what `foresee_stop` said. Raises as `Dom0Domain.stop`."""
    if change.stop:
        domain.stop(change.stop, allow=allow)
    return change
