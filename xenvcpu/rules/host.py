# SPDX-License-Identifier: MIT
"""What protects the host: values that Xen itself faults on, so that every domain goes down with it.

A kind of their own: these are all the rules that have `kills_host`. Nothing that a user gives lifts one, neither the
vendor, nor another feature, nor an allowance: they hold wherever they could be meant. Only Xen's own word that it is
no debug build relaxes those of `host_segments`.

Judged is the state as the load takes it, see `state`. VCPUOP_initialise has no field that reaches the first ones, and
refuses what would reach the others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterator, Optional, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.rules import host_segments
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import ALWAYS, Release, Since, Until
from xenvcpu.rules.rule import INTEL, Case, Predicate, Rule, is_canonical, is_wide
from xenvcpu.rules.verdict import Finding, Level


def _rule(
    name: str, field: str, broken: Predicate, needed: str, remedy: str, source: str, vendor: Optional[str] = None,
    releases: Since = ALWAYS,
) -> Rule:
    return Rule(
        name, (field,), needed, remedy, broken, source, level=Level.FATAL, releases=releases, vendor=vendor,
        kills_host=True,
    )


def _unguarded(field: str) -> Rule:
    # STAR and SYSCALL_MASK are written there too; the processor takes any value of them, a guest's own as well.
    return _rule(
        "base-not-canonical", field, lambda case: not is_canonical(case[field]),
        "the address must be canonical (bits 63 to 47 all the same)", "give the sign-extended 48-bit address",
        "vmx_restore_guest_msrs; SDM volume 4, 2.1", INTEL,
    )


_DR6 = _rule(
    # 4.12 keeps 32 bits of it. Builds from its development time call themselves 4.12 too, hence one release more.
    "dr6-beyond-32-bits", "dr6", lambda case: is_wide(case["dr6"]), "bits 32 and above of DR6 must be zero",
    "clear them", "__restore_debug_registers; APM volume 2, 15.5.1", releases=Until("4.13"),
)

RULES: Tuple[Rule, ...] = (_unguarded("shadow_gs"), _unguarded("msr_lstar"), _DR6, *host_segments.RULES)


@lru_cache(maxsize=None)
def _of(release: Release) -> Tuple[Rule, ...]:
    return tuple(rule for rule in RULES if release in rule.releases)


def _could_be_meant(rule: Rule, features: Features) -> bool:
    return not (rule.is_of_debug_builds and features.is_debug_build is False)


def judge(case: Case) -> Iterator[Finding]:
    """What may take the host down, whatever the features say of its vendor."""
    for rule in _of(case.release):
        if _could_be_meant(rule, case.features) and rule.broken(case):
            yield rule.finding(case)


def faults(state: Image, release: Release, features: Features) -> Tuple[Finding, ...]:
    """What does take down one host of which all is known: for the model, which is one."""
    case = Case(state.values, state, release, features)
    held = (rule for rule in _of(release) if rule.applies(release, features) and _could_be_meant(rule, features))
    return tuple(rule.finding(case) for rule in held if rule.broken(case))
