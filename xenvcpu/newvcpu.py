# SPDX-License-Identifier: MIT
"""One vcpu that dom0 is to start: its save records, and what the rules say to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Optional, Tuple, Union

from xenvcpu import encoding
from xenvcpu.abi import cpu_msr, cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.context.written import Written
from xenvcpu.errors import RefusedContextError
from xenvcpu.rules import check, host, state
from xenvcpu.rules import cpu_msr as cpu_msr_rules
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case
from xenvcpu.rules.verdict import Finding, Level, Verdict
from xenvcpu.savedstate import with_tsc
from xenvcpu.vcpustate import mode_name

Wanted = Union[VcpuContext, Image]
"""What a vcpu shall start with: a context, or an image of a C struct (a CPU record is taken literally)."""

Render = Callable[[int], Wanted]
"""From a vcpuid to what that vcpu shall start with."""

_ORDER = tuple(Level)


@dataclass(frozen=True)
class NewVcpu:
    """One vcpu that will be started.

    Attributes:
        vcpuid: Its number.
        record: The CPU record to load; its `tsc` is filled in under the pause.
        payload: The record as bytes.
        msrs: The payload of a CPU_MSR record, or None.
        verdict: What the rules say.
        state: What the vcpu starts with, as the rules see it.
    """

    vcpuid: int
    record: Image
    payload: bytes
    msrs: Optional[bytes]
    verdict: Verdict
    state: Case

    def records(self, tsc: bytes) -> Tuple[Record, ...]:
        """The save records that start this vcpu."""
        cpu = Record(Typecode.CPU, self.vcpuid, with_tsc(self.payload, tsc))
        return (cpu,) if self.msrs is None else (cpu, Record(Typecode.CPU_MSR, self.vcpuid, self.msrs))

    def warned(self, *findings: Finding) -> NewVcpu:
        """Itself, with more warnings."""
        return replace(self, verdict=self.verdict.warned(*findings))

    def accepted(self, allow: Allowances = NONE) -> NewVcpu:
        """Itself.

        Raises:
            RefusedContextError: See `require_accepted`.
        """
        require_accepted(self.verdict, self.vcpuid, allow)
        return self

    def safe_for_host(self) -> NewVcpu:
        """Itself. Nothing overrides this check: it is about the other domains too.

        Raises:
            RefusedContextError: Xen itself would fault on it; what it faults on is named first.
        """
        findings = self.verdict.findings
        if any(finding.kills_host for finding in findings):
            worst_first = tuple(sorted(findings, key=lambda finding: not finding.kills_host))
            raise RefusedContextError(replace(self.verdict, findings=worst_first), vcpuid=self.vcpuid)
        return self


def prepare(
    vcpuid: int, wanted: Wanted, release: Release, features: Features, *, domid: Optional[int] = None
) -> NewVcpu:
    """Encode and judge what a vcpu shall start with; nothing is refused yet.

    Args:
        vcpuid: The vcpu.
        wanted: What it shall start with.
        release: The running Xen.
        features: What is known of the domain's CPU policy.
        domid: The domain, where it is known: Xen's console lines name it.

    Raises:
        ContextError: It cannot be encoded.
    """
    context = as_given(wanted)
    record, pairs = as_record(context, release)
    written = Written.of(context) if isinstance(context, VcpuContext) else None
    judged = check.check_record(record, release, features, vcpuid, written)
    of_msrs = (*cpu_msr_rules.refusals(pairs, release, features), *cpu_msr_rules.dangers(pairs, release))
    findings = (*judged.findings, *of_msrs)
    verdict = replace(judged, findings=tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.level))))
    return NewVcpu(
        vcpuid, record, record.pack(), cpu_msr.encode(pairs) if pairs else None, verdict.naming(domid, vcpuid),
        state.of_record(record, release, features, written),
    )


def prepare_inside(vcpuid: int, wanted: Wanted, release: Release, features: Features) -> Tuple[Image, Verdict]:
    """As `prepare`, for VCPUOP_initialise: its argument, and what the rules say to it."""
    written: Optional[Written] = None
    if isinstance(wanted, Image) and wanted.layout.name == vcpu_hvm_context.LAYOUT_32B.name:
        image = wanted
    else:
        context = wanted if isinstance(wanted, VcpuContext) else encoding.as_context(wanted)
        image, written = encoding.to_vcpu_hvm_context(context), Written.of(context)
    return image, check.check_context(image, release, features, vcpuid, written)


def as_given(wanted: Wanted) -> Wanted:
    """A CPU record as it is; of anything else the context, for a record has to be made of it.

    Raises:
        ContextError: It is no context.
    """
    is_record = isinstance(wanted, Image) and wanted.layout.name == cpu_record.LAYOUT.name
    return wanted if is_record or isinstance(wanted, VcpuContext) else encoding.as_context(wanted)


def require_accepted(verdict: Verdict, vcpuid: int, allow: Allowances) -> None:
    """No rule refuses a context, but for those that are ignored.

    Raises:
        RefusedContextError: Xen would refuse it, or the domain would crash; what is not ignored is named first.
    """
    refusing = allow.refusing(verdict)
    if refusing:
        others = (found for found in verdict.findings if found not in refusing)
        raise RefusedContextError(replace(verdict, findings=(*refusing, *others)), vcpuid=vcpuid)


def require_safe(record: Image, release: Release, vcpuid: int) -> None:
    """A CPU record that nobody judged as a context is none that Xen itself may fault on.

    Raises:
        RefusedContextError: It is.
    """
    findings = tuple(host.judge(state.of_record(record, release)))
    if findings:
        raise RefusedContextError(Verdict(findings), vcpuid=vcpuid)


def as_record(wanted: Wanted, release: Release) -> Tuple[Image, Tuple[Tuple[int, int], ...]]:
    """The CPU record (1032 bytes) for what is wanted, and the MSRs that go beside it.

    Raises:
        ContextError: It cannot be encoded.
    """
    wanted = as_given(wanted)
    if isinstance(wanted, VcpuContext):
        return encoding.to_cpu_record(wanted, release), wanted.msrs
    if wanted.layout is cpu_record.LAYOUT_46:
        longer = cpu_record.LAYOUT.image({**wanted.values, "flags": cpu_record.FPU_INITIALISED}, wanted.rest)
        return longer, ()
    return wanted, ()


def in_words(wanted: Wanted, release: Release) -> str:
    """Where a vcpu starts: `flat32 at 0x1000`. Raises as `as_record`."""
    record, _ = as_record(wanted, release)
    return f"{mode_name(record)} at {record['rip']:#x}"
