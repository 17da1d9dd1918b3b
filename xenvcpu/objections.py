# SPDX-License-Identifier: MIT
"""What a start would be refused for, each with the option that accepts it: asked for all at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple, Union

from xenvcpu.allowances import ALL, IGNORE_RULES, Allowance, Allowances
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, NestedHvmError
from xenvcpu.fitness import require_built, require_not_nested
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.newvcpu import Render
from xenvcpu.plan import Plan
from xenvcpu.rules.effect import CANCELS_ACCESS
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.verdict import Verdict


class Objection(NamedTuple):
    """One reason against a start.

    Attributes:
        option: What accepts it.
        why: The reason.
    """

    option: str
    why: str


def to_start(
    domain: Union[Dom0Domain, GuestDomain], vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN,
    allow: Allowances,
) -> Tuple[Objection, ...]:
    """All that a start would be refused for, and that can be accepted. Nothing is touched.

    Raises:
        RefusedContextError: A rule that protects the host refuses it, which nothing accepts.
        XenVcpuError: The domain cannot be looked at, or has no such vcpu.
    """
    every_rule = replace(allow, ignored_rules=frozenset((ALL,)))
    if isinstance(domain, GuestDomain):
        judged = domain.plan(vcpuids, render, features=features, allow=every_rule).contexts
        return tuple(_of_rules(((vcpuid, verdict) for vcpuid, _, verdict in judged), allow))
    plan = domain.plan(vcpuids, render, features=features, allow=every_rule)
    verdicts = ((vcpu.vcpuid, vcpu.verdict) for vcpu in plan.vcpus)
    return (*_of_rules(verdicts, allow), *_of_domain(domain, replace(plan, allow=allow)))


def _of_rules(verdicts: Iterator[Tuple[int, Verdict]], allow: Allowances) -> Iterator[Objection]:
    about: Dict[str, str] = {}
    for vcpuid, verdict in verdicts:
        for found in allow.refusing(verdict):
            about.setdefault(found.rule, f"vcpu {vcpuid}: {found.message}")
    return (Objection(f"{IGNORE_RULES} {rule}", why) for rule, why in about.items())


def _of_domain(domain: Dom0Domain, plan: Plan) -> Iterator[Objection]:
    found, info = domain.state(), domain.info
    checks: List[Tuple[str, Callable[[], None]]] = [
        (Allowance.UNBUILT.option, lambda: require_built(info, found, plan)),
        (f"{IGNORE_RULES} {NestedHvmError.rule}", lambda: require_not_nested(found, plan)),
    ]
    for option, check in checks:
        try:
            check()
        except DomainError as error:
            yield Objection(option, str(error))
    is_at_risk = info.has_device_model and domain.release in CANCELS_ACCESS and bool(info.cpu_time)
    if is_at_risk and Allowance.DEVICE_ACCESS_LOSS not in plan.allow:
        yield Objection(
            Allowance.DEVICE_ACCESS_LOSS.option,
            "if a vcpu stays in the middle of an access to an emulated device, or that cannot be seen",
        )
