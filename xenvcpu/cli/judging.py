# SPDX-License-Identifier: MIT
"""What `check` does with one context: choose the interface, encode, judge."""

from __future__ import annotations

from typing import Any, NamedTuple

from xenvcpu.abi.layout import Image
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.formats import FORMATS, convert, format_of
from xenvcpu.encoding import extended_fields, to_cpu_record
from xenvcpu.errors import ContextError
from xenvcpu.rules.check import check_context, check_record
from xenvcpu.rules.features import Features, Interface
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Finding, Level, Verdict

STRUCTS = {Interface.VCPUOP: FORMATS["vcpu_hvm_context"], Interface.DOMCTL: FORMATS["cpu_record"]}
"""The struct that each interface takes."""


class Question(NamedTuple):
    """How a context is to be judged.

    Attributes:
        interface: The interface, or None for the one that can carry the context.
        releases: The releases of Xen.
        features: What the domain may do.
        vcpuid: The vcpu it is for.
    """

    interface: Interface | None
    releases: tuple[Release, ...]
    features: Features
    vcpuid: int


def interface_of(value: VcpuContext | Image, asked: Interface | None) -> Interface:
    """The interface to judge for: the one asked for, else VCPUOP where it can carry the context."""
    if asked is not None:
        return asked
    if isinstance(value, Image):
        return Interface.DOMCTL if format_of(value) is STRUCTS[Interface.DOMCTL] else Interface.VCPUOP
    return Interface.DOMCTL if next(extended_fields(value), None) else Interface.VCPUOP


def judge(value: VcpuContext | Image, interface: Interface, release: Release, question: Question) -> Verdict:
    """The verdict of one release; a context that the interface cannot carry is rejected by name."""
    try:
        if interface is Interface.VCPUOP:
            image = convert(value, STRUCTS[interface])
            return check_context(image, release, question.features, question.vcpuid)
        # The MSRs go beside the record, and the record is made for the release.
        image = to_cpu_record(value, release) if isinstance(value, VcpuContext) else convert(value, STRUCTS[interface])
        return check_record(image, release, question.features, question.vcpuid)
    except ContextError as exc:
        given = exc.value if isinstance(exc.value, int) else 0
        return Verdict((Finding(exc.rule, Level.REJECTED, exc.field or "", given, str(exc)),))


def answer(value: VcpuContext | Image, question: Question) -> dict[str, Any]:
    """The verdict, or one for each release, as `check --json` prints it."""
    interface = interface_of(value, question.interface)
    if len(question.releases) == 1:
        return judge(value, interface, question.releases[0], question).as_dict()
    verdicts = [
        {"xen": str(release), **judge(value, interface, release, question).as_dict()} for release in question.releases
    ]
    return {"verdicts": verdicts}
