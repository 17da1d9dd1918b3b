# SPDX-License-Identifier: MIT
"""Warnings that no context can be given alone: about vcpus that start together, and about one beside those that run."""

from __future__ import annotations

from typing import Dict, Iterator, List, Mapping, NamedTuple, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.abi.registers import CR0_PG, CR4_LA57, CR4_PAE, CR4_PCIDE, EFER_LMA, EFER_NXE
from xenvcpu.rules.rule import Case
from xenvcpu.rules.state import is_64bit
from xenvcpu.rules.verdict import Finding, Level

SHARED_STACK, BOOT_TABLES = "shared-stack", "boot-vcpu-tables"
_TABLE = ~0xFFF & (1 << 63) - 1
"""CR3 without PCID or cache flags."""


class _Bit(NamedTuple):
    """A bit by which the processor reads page tables.

    Attributes:
        field: Where it is.
        mask: The bit.
        name: Its name.
        effect: What follows where a vcpu has it otherwise than the boot vcpu.
        is_harmless_extra: Whether nothing follows where the vcpu has it and the boot vcpu does not.
    """

    field: str
    mask: int
    name: str
    effect: str
    is_harmless_extra: bool = False


_BITS = (
    _Bit("msr_efer", EFER_LMA, "LMA", "the tables are of another form"),
    _Bit("cr4", CR4_PAE, "PAE", "the tables are of another form"),
    _Bit("cr4", CR4_LA57, "LA57", "the tables have another number of levels"),
    _Bit("msr_efer", EFER_NXE, "NXE", "a page that must not be executed faults at any access, as a reserved bit is set",
         is_harmless_extra=True),
    _Bit("cr4", CR4_PCIDE, "PCIDE", "the low bits of CR3 mean something else", is_harmless_extra=True),
)
_SOURCE = "SDM volume 3A, 4.1; APM volume 2, 5.1"


def _stack(case: Case) -> Tuple[int, ...]:
    table = case["cr3"] if case["cr0"] & CR0_PG else 0
    return case["rsp"], 0 if is_64bit(case) else case["ss_base"], table


def shared_stacks(cases: Mapping[int, Case]) -> Iterator[Tuple[int, Finding]]:
    """A warning for each vcpu, by vcpuid, whose stack another one of them has too."""
    users: Dict[Tuple[int, ...], List[int]] = {}
    for vcpuid, case in cases.items():
        if case["rsp"]:
            users.setdefault(_stack(case), []).append(vcpuid)
    for vcpuids in users.values():
        others = len(vcpuids) - 1
        for vcpuid in vcpuids if others else ():
            case = cases[vcpuid]
            field, value = case.field("rsp"), case.given("rsp")
            yield vcpuid, Finding(
                SHARED_STACK, Level.WARNING, field, value,
                f"{case.says('rsp')}: {others} other vcpu{'s start' if others > 1 else ' starts'} with the same stack;"
                f' give each its own: {field} = "{value:#x} + 0x1000 * vcpuid"', source="usage",
            )


def beside(case: Case, boot: Image) -> Iterator[Finding]:
    """Warnings about a vcpu that uses the page tables of the boot vcpu, and reads them otherwise.

    Args:
        case: The state that the vcpu starts with.
        boot: The CPU record of the boot vcpu.
    """
    if not case["cr0"] & boot["cr0"] & CR0_PG or (case["cr3"] ^ boot["cr3"]) & _TABLE:
        return
    for bit in _BITS:
        given, there = case[bit.field] & bit.mask, boot[bit.field] & bit.mask
        if given == there or given and bit.is_harmless_extra:
            continue
        verb, wanted = ("clear", case[bit.field] & ~bit.mask) if given else ("set", case[bit.field] | bit.mask)
        register = "EFER" if bit.field == "msr_efer" else bit.field.upper()
        how = "without" if there else "with"
        yield Finding(
            BOOT_TABLES, Level.WARNING, case.field(bit.field), case.given(bit.field),
            f"{case.says(bit.field)}: the boot vcpu has the same CR3 and {boot[bit.field]:#x} here; {how}"
            f" {register}.{bit.name} {bit.effect}; {verb} it: {case.field(bit.field)} = {wanted:#x}", source=_SOURCE,
        )
