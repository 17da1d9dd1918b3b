# SPDX-License-Identifier: MIT
"""What `check` does with one context: choose the interface, judge."""

from __future__ import annotations

from typing import Any, NamedTuple

from xenvcpu.abi.layout import Image
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.formats import FORMATS, convert, format_of
from xenvcpu.errors import ContextError
from xenvcpu.newvcpu import prepare, prepare_inside
from xenvcpu.rules.features import Features, Interface
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Finding, Level, Verdict

STRUCTS = {Interface.VCPUOP: FORMATS["vcpu_hvm_context"], Interface.DOMCTL: FORMATS["cpu_record"]}
"""The struct that each interface takes."""

EXTENDED = "extended-field"
"""The rule by which `to_vcpu_hvm_context` refuses what only dom0 can carry."""


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


def choose(value: VcpuContext | Image, asked: Interface | None) -> Interface:
    """The interface to judge for: not asked for one, VCPUOP where it can carry the context.

    Raises:
        ContextError: There is no such context.
    """
    if asked is not None:
        return asked
    if isinstance(value, Image) and format_of(value) is STRUCTS[Interface.DOMCTL]:
        return Interface.DOMCTL
    try:
        convert(value, STRUCTS[Interface.VCPUOP])
    except ContextError as exc:
        if exc.rule != EXTENDED:
            raise
        return Interface.DOMCTL
    return Interface.VCPUOP


def judge(value: VcpuContext | Image, interface: Interface, release: Release, question: Question) -> Verdict:
    """What one release says to a context.

    Raises:
        ContextError: The interface cannot carry it; the field is named.
    """
    if interface is Interface.VCPUOP:
        return prepare_inside(question.vcpuid, value, release, question.features)[1]
    return prepare(question.vcpuid, value, release, question.features).verdict


def verdicts(value: VcpuContext | Image, question: Question) -> tuple[Interface, list[tuple[Release, Verdict]]]:
    """The interface that was judged for, and what each release says.

    A context that the interface cannot carry is rejected by name.
    """
    try:
        interface = choose(value, question.interface)
        return interface, [(release, judge(value, interface, release, question)) for release in question.releases]
    except ContextError as exc:
        number = exc.value if isinstance(exc.value, int) else 0
        refused = Verdict((Finding(exc.rule, Level.REJECTED, exc.field or "", number, str(exc)),))
        return question.interface or Interface.VCPUOP, [(release, refused) for release in question.releases]


def as_dict(said: list[tuple[Release, Verdict]]) -> dict[str, Any]:
    """The verdict, or one for each release, as `check --json` prints it."""
    if len(said) == 1:
        return said[0][1].as_dict()
    return {"verdicts": [{"xen": str(release), **verdict.as_dict()} for release, verdict in said]}
