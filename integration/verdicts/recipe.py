# SPDX-License-Identifier: MIT
"""A recipe: how one context is made, to whom it is given, and what it was made for."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple

from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image

VCPUOP, RECORD = "vcpuop", "cpu_record"
"""The two interfaces: Xen is asked, and nothing runs."""
ENTRY_VCPUOP, ENTRY_RECORD = "entry vcpuop", "entry cpu_record"
"""The same, and the vcpu is let run afterwards."""
KINDS = (VCPUOP, RECORD, ENTRY_VCPUOP, ENTRY_RECORD)

PLAIN, POOR = "plain", "poor"
"""The domains: one with all that the host has, one whose CPU policy lacks what ``POOR_CPUID`` switches off."""
SHADOWED = "shadowed"
"""One with all that the host has, under shadow paging."""
POOR_CPUID = "host,syscall=0,nx=0,lm=0"

FRESH, FAR, REGISTERED, INITIALISED, MISSING = "fresh", "far", "registered", "initialised", "missing"
"""Whose context it is: a fresh vcpu's; number 32 without, 33 with a registered vcpu_info; the boot vcpu's; none's."""
FAR_VCPUID, REGISTERED_VCPUID, MISSING_VCPUID = 32, 33, 100
VCPUS = 34
NOWHERE = "nowhere"
"""The base of a pointer that leads to no memory."""

BROKEN, KEPT = "broken", "kept"

Changes = Dict[str, int]
"""The fields that are different from a base, by name."""


def each(field: str, *values: int) -> List[Changes]:
    """One change after the other, of one field."""
    return [{field: value} for value in values]


class Claim(NamedTuple):
    """What a recipe was made for: one side of one rule.

    Attributes:
        rule: The rule's name.
        field: The first field of the rule.
        side: ``broken`` or ``kept``.
    """

    rule: str
    field: str
    side: str


class Recipe(NamedTuple):
    """How one context is made.

    Attributes:
        kind: One of ``KINDS``.
        domain: ``plain``, ``poor`` or ``shadowed``.
        target: Which vcpu it is given to.
        base: The sound context that it starts from.
        changes: The fields that are different.
        claim: What it was made for; None for one of the random ones.
    """

    kind: str
    domain: str
    target: str
    base: str
    changes: Mapping[str, int]
    claim: Claim | None = None

    @property
    def interface(self) -> str:
        """``vcpuop`` or ``cpu_record``."""
        return self.kind.split()[-1]

    def image(self, bases: Mapping[str, Mapping[str, int]]) -> Image:
        """The context, as Xen reads its bytes.

        Args:
            bases: The fields of each base, as ``bases.BASES``, that are not zero.
        """
        values: Dict[str, int] = {**bases[f"{self.interface} {self.base}"], **self.changes}
        if self.interface == RECORD:
            return cpu_record.LAYOUT.image(values)
        is_wide = "rip" in values
        layout = vcpu_hvm_context.LAYOUT_64B if is_wide else vcpu_hvm_context.LAYOUT_32B
        return vcpu_hvm_context.decode(layout.image(values).pack())
