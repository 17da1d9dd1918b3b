# SPDX-License-Identifier: MIT
"""The sound contexts that recipes start from: one for each mode and interface.

Their entry is code that spins and touches nothing, in the tiny guest's memory.
"""

from __future__ import annotations

from typing import Dict, Mapping

from integration.evidence import paging
from integration.guest import layout
from integration.verdicts.recipe import RECORD, VCPUOP
from xenvcpu import encoding
from xenvcpu.api import VcpuContext, compat32, flat32, long64, pae32, real16

SPIN = b"\xeb\xfe"
"""``jmp .`` in every mode."""
ENTRY, LOW_ENTRY, STACK = layout.STUBS, 0x8000, 0x500000
_ROOTS = paging.roots(layout.TABLES)

CONTEXTS: Mapping[str, VcpuContext] = {
    "flat": flat32(ENTRY, STACK),
    "long": long64(ENTRY, STACK, _ROOTS.long),
    "real": real16(LOW_ENTRY >> 4, 0, 0x7000),
    "pae": pae32(ENTRY, STACK, _ROOTS.pae),
    "compat": compat32(ENTRY, STACK, _ROOTS.long),
}


def _nonzero(values: Mapping[str, int]) -> Dict[str, int]:
    # rip tells a 64-bit context from a 32-bit one
    return {name: value for name, value in values.items() if value or name == "rip"}


BASES: Mapping[str, Mapping[str, int]] = {
    **{f"{VCPUOP} {name}": _nonzero(encoding.to_vcpu_hvm_context(made).values) for name, made in CONTEXTS.items()},
    **{f"{RECORD} {name}": _nonzero(encoding.to_cpu_record(made).values) for name, made in CONTEXTS.items()},
}
"""The fields that are not zero, by interface and name."""
