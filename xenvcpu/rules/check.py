# SPDX-License-Identifier: MIT
"""The checker: what Xen, then the processor, will say, and what was hardly meant.

Pure and quick enough to judge contexts by the thousand.
"""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.context.written import Written
from xenvcpu.rules import advice, control, cpu_record, entry, host, state, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case
from xenvcpu.rules.verdict import Finding, Verdict

_BOUND_TO_VENDOR = frozenset(rule.name for rule in entry.RULES if rule.vendor is not None)
_OF_DEBUG_BUILDS = frozenset(rule.name for rule in host.RULES if rule.is_of_debug_builds)
_SVM_DOUBTS = (5, 6)
"""Types of a pending event that VT-x has and SVM refuses."""


def _beyond(value: int, given: Optional[int], known: int, baseline: int) -> bool:
    """Whether a verdict on a register rests on a mask that was not given."""
    return given is None and bool(value & known & ~baseline)


def _assumed(case: Case, efer: int, vcpuid: Optional[int], fatal: Tuple[Finding, ...]) -> Iterator[str]:
    """The features that the verdict was made without, though it depends on them."""
    features, release = case.features, case.release
    if _beyond(case["cr4"], features.cr4_valid, control.cr4_known(release), control.CR4_BASELINE):
        yield "cr4_valid"
    if _beyond(efer, features.efer_valid, control.efer_known(release), control.EFER_BASELINE):
        yield "efer_valid"
    if features.maxphysaddr is None and case["cr3"] >> control.PHYSICAL_BASELINE:
        yield "maxphysaddr"
    if features.vendor is None and (_doubts_event(case) or any(found.rule in _BOUND_TO_VENDOR for found in fatal)):
        yield "vendor"
    if features.is_debug_build is None and any(found.rule in _OF_DEBUG_BUILDS for found in fatal):
        yield "is_debug_build"
    is_vcpuop = "mode" in case.image.values
    if is_vcpuop and features.registered_vcpu_info is None and vcpuop.needs_vcpu_info(release, vcpuid):
        yield "registered_vcpu_info"


def _doubts_event(case: Case) -> bool:
    if "pending_event" not in case.image.values or case.release not in cpu_record.SVM_CHECKS_TYPE:
        return False
    return cpu_record.pending_type(case) in _SVM_DOUBTS


def _apart(findings: Iterator[Finding], told: Tuple[Finding, ...]) -> Iterator[Finding]:
    """The findings about fields of which nothing worse was told."""
    fields = {finding.field for finding in told}
    return (finding for finding in findings if finding.field not in fields)


def _verdict(refused: Tuple[Finding, ...], case: Case, efer: int, vcpuid: Optional[int]) -> Verdict:
    # Of a context that is refused, the lints still tell what the next try would run into.
    # What protects the host is told in any case. Xen refuses a context before it comes to that, a record mostly.
    of_host = tuple(_apart(host.judge(case), refused) if "mode" in case.image.values else host.judge(case))
    fatal = (*of_host, *_apart(entry.judge(case), refused))
    warnings = tuple(_apart(advice.judge(case), refused + fatal))
    return Verdict(refused + fatal + warnings, tuple(_assumed(case, efer, vcpuid, fatal)))


def check_context(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None,
    written: Optional[Written] = None,
) -> Verdict:
    """Judge an image of `struct vcpu_hvm_context`, the argument of VCPUOP_initialise.

    Args:
        image: The struct.
        release: The running Xen; one newer than the tables is judged as the newest known.
        features: What the domain may do. What is unknown is taken as allowed, and named in
            `Verdict.depends_on` when the verdict would change with it.
        vcpuid: The vcpu that it is for, if known.
        written: The context that the image was made of: findings then speak of that.
    """
    refused = vcpuop.problems(image, release, features, vcpuid, written)
    if any(finding.rule == "mode-unknown" for finding in refused):
        return Verdict(refused)
    return _verdict(refused, state.of_context(image, release, features, written), image["efer"], vcpuid)


def check_record(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None,
    written: Optional[Written] = None,
) -> Verdict:
    """Judge an image of a CPU record, what XEN_DOMCTL_sethvmcontext loads; arguments as `check_context`."""
    refused = cpu_record.problems(image, release, features, written)
    return _verdict(refused, state.of_record(image, release, features, written), image["msr_efer"], vcpuid)
