# SPDX-License-Identifier: MIT
"""Both sides of every lint, by hand: Xen takes them all, and then the processor does, or does not.

As ``probes``, with one more thing: whether a vcpu can be let run there without an IDT or a table that the
tiny guest does not have.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, Mapping, NamedTuple, Sequence

from integration.evidence import paging
from integration.guest import layout
from integration.verdicts.bases import BASES
from integration.verdicts.recipe import (
    BROKEN, ENTRY_RECORD, ENTRY_VCPUOP, FRESH, KEPT, PLAIN, RECORD, VCPUOP, Changes, Claim, Recipe, each,
)

SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")
_CODE_OR_DATA = SEGMENTS[:6]
_BOUNDED = ("cs", "ds", "es", "ss")
_EVENT = 1 << 31
_HIGH_CANONICAL, _NOT_CANONICAL = 0xFFFF800000000000, 1 << 47
_LDT: Changes = {"ldtr_arbytes": 0x82, "ldtr_limit": 0xFFF}
_VM86: Changes = {
    "rflags": 0x20002, "rip": 0, "rsp": 0x7000, "cs_sel": 0x800, "cs_base": 0x8000,
    **{f"{name}_arbytes": 0xF3 for name in _CODE_OR_DATA}, **{f"{name}_limit": 0xFFFF for name in _CODE_OR_DATA},
}
_ROOT: Mapping[str, int] = {name: BASES[f"{RECORD} {name}"]["cr3"] for name in ("long", "pae")}
_ENTRY = BASES[f"{RECORD} flat"]["rip"]


class Probe(NamedTuple):
    """States on both sides of one lint; the field is named as in a CPU record, the changes as in the interface."""

    rule: str
    field: str
    interface: str
    base: str
    broken: Sequence[Changes]
    kept: Sequence[Changes] = ({},)
    is_entered: bool = True


def _record(rule: str, field: str, base: str, broken: List[Changes], kept: Sequence[Changes] = ({},)) -> Probe:
    return Probe(rule, field, RECORD, base, broken, kept)


def _context(rule: str, field: str, base: str, broken: List[Changes], kept: Sequence[Changes] = ({},)) -> Probe:
    return Probe(rule, field, VCPUOP, base, broken, kept)


def _control() -> Iterator[Probe]:
    paged: Changes = {"cr3": paging.roots(layout.TABLES).pse, "cr4": 0x10}
    yield _context("pg-without-pe", "cr0", "long", each("cr0", 0x80000010))
    yield _context("pg-without-pe", "cr0", "flat", [{**paged, "cr0": 0x80000010}], [{**paged, "cr0": 0x80000011}])
    yield _record("nw-without-cd", "cr0", "flat", each("cr0", 0x20000011), each("cr0", 0x60000011, 0x40000011))
    yield _context("cr0-high-bits", "cr0", "long", each("cr0", 0x180000011, 1 << 63 | 0x80000011))
    # QEMU's #VMEXIT puts the whole host wrong when the guest left LME on and paging off.
    yield _context("lma-without-pg", "msr_efer", "flat", each("efer", 0x100, 0x500))._replace(is_entered=False)
    yield _record("long-mode-without-pae", "cr4", "long", each("cr4", 0, 0x10))
    yield _record("lme-without-lma", "msr_efer", "long", each("msr_efer", 0x100, 0x901))
    yield _record("lme-without-lma", "msr_efer", "flat", [], each("msr_efer", 0x100))._replace(is_entered=False)
    yield _record("cs-l-and-d", "cs_arbytes", "long", each("cs_arbytes", 0xE9B), [{}, {"cs_arbytes": 0xC9B}])
    yield _record("cet-without-wp", "cr4", "flat", each("cr4", 1 << 23), [{"cr4": 1 << 23, "cr0": 0x10011}])._replace(
        is_entered=False)
    yield _record("pcide-without-lma", "cr4", "flat", each("cr4", 1 << 17))._replace(is_entered=False)
    yield _record("pcide-without-lma", "cr4", "long", [], each("cr4", 1 << 17 | 0x20))._replace(is_entered=False)
    yield _context("cr3-beyond-width", "cr3", "long", each("cr3", 1 << 52 | _ROOT["long"], 1 << 63 | _ROOT["long"]))
    yield _record("pae-cr3-unaligned", "cr3", "pae", each("cr3", _ROOT["pae"] | 8))
    yield _record("dr7-beyond-32-bits", "dr7", "flat", each("dr7", 1 << 32 | 0x400))
    yield _record("dr6-beyond-32-bits", "dr6", "flat", each("dr6", 1 << 32))
    yield _record("efer-reserved", "msr_efer", "flat", each("msr_efer", 1 << 9, 1 << 32))._replace(is_entered=False)


def _flow() -> Iterator[Probe]:
    yield _record("rflags-reserved", "rflags", "flat", each("rflags", 0x8002, 0x400002, 1 << 32 | 2, 0xA, 0x22),
                  [{}, *each("rflags", 0, 0x200CD7)])
    yield _context("rflags-reserved", "rflags", "flat", each("eflags", 0x8002))
    yield _record("vm86-mode", "rflags", "real", each("rflags", 0x20002))
    yield _record("vm86-mode", "rflags", "long", each("rflags", 0x20002))
    yield _record("interrupt-without-if", "pending_event", "flat", [{"pending_event": _EVENT | 0x20}],
                  [{"pending_event": _EVENT | 0x20, "rflags": 0x202}, {"pending_event": _EVENT | 0x202}])._replace(
        is_entered=False)
    yield _record("rip-beyond-canonical", "rip", "long", each("rip", _NOT_CANONICAL, 0xFFFF7FFFFFFFFFFF))
    yield _record("rip-above-4g", "rip", "flat", each("rip", 1 << 32 | _ENTRY))
    yield _record("rip-outside-limit", "rip", "flat", each("cs_limit", _ENTRY - 1, 0xFFF),
                  [{}, *each("cs_limit", _ENTRY + 0xFFF)])


def _events() -> Iterator[Probe]:
    exception, error_code, nmi = _EVENT | 3 << 8, 1 << 11, _EVENT | 0x202
    event = "pending_event"
    for rule, field, broken, kept in (
        ("nmi-vector", event, each(event, nmi | 1, nmi ^ 2), each(event, nmi)),
        ("exception-vector", event, each(event, exception | 32, exception | 255), each(event, exception | 31)),
        ("event-error-code", event, [
            *each(event, exception | 8, exception | 13, exception | 6 | error_code, nmi | error_code),
            {event: exception | 13 | error_code, "cr0": 0x10},
        ], [*each(event, exception | 13 | error_code, exception | 6), {event: exception | 13, "cr0": 0x10}]),
        ("error-code-bits", "error_code", [{event: exception | 14 | error_code, "error_code": 0x8000}],
         [{event: exception | 14 | error_code, "error_code": 0x7FFF}, {event: exception | 6, "error_code": 0x8000}]),
        ("exception-vector-svm", event, [], each(event, exception | 1, exception | 30, exception | 3, nmi)),
    ):
        # Without an IDT a vcpu does not survive the event that it should.
        yield _record(rule, field, "flat", broken, kept)._replace(is_entered=False)
    none = each(event, exception | 2, exception | 31, exception | 255)
    yield _record("exception-vector-svm", event, "flat", none, [])


def _types() -> Iterator[Probe]:
    broken = {"cs": (0xC91, 0xC9A, 0xC98), "ss": (0xC91, 0xC92, 0xC9B), "tr": (0x89, 0x82, 0x9B), "ldtr": (0x8B, 0x92)}
    kept = {"cs": (0xC99, 0xC9D, 0xC9F, 0xC93), "ss": (0xC97, 0), "tr": (0x8B, 0x83), "ldtr": (0x82, 0)}
    for name in SEGMENTS:
        field = f"{name}_arbytes"
        yield _record("segment-type", field, "flat", each(field, *broken.get(name, (0xC92, 0xC99, 0xC83))),
                      [{}, *each(field, *kept.get(name, (0xC91, 0xC9B, 0xC97, 0)))])


def _segments() -> Iterator[Probe]:
    yield _record("cs-not-present", "cs_arbytes", "flat", each("cs_arbytes", 0, 0xC1B))
    yield _record("tr-not-present", "tr_arbytes", "flat", each("tr_arbytes", 0, 0xB))
    yield from _types()
    yield _record("selector-in-ldt", "tr_sel", "flat", each("tr_sel", 4, 0xC), each("tr_sel", 0, 8))
    yield _record("selector-in-ldt", "ldtr_sel", "flat", [{**_LDT, "ldtr_sel": 4}],
                  [{**_LDT, "ldtr_sel": 8}, {"ldtr_sel": 4, "ldtr_arbytes": 0}])
    for name in SEGMENTS:
        field, present = f"{name}_limit", _LDT if name == "ldtr" else {}
        yield _record("limit-granularity", field, "flat", [{**present, field: 0x500000}, {**present, field: 0x5FFFFE}],
                      [{**present, field: 0x5FFFFF}])
    for name in _BOUNDED:
        field = f"{name}_base"
        yield _record("base-above-4g", field, "flat", each(field, 1 << 32, 1 << 46))
    yield _record("base-above-4g", "cs_base", "flat", [], [{"cs_base": 0x1000, "rip": _ENTRY - 0x1000}])
    yield _record("cs-ss-dpl", "cs_arbytes", "flat", [{"ss_arbytes": 0xCF3}, {"cs_arbytes": 0xCFB}],
                  [{}, {"cs_arbytes": 0xCFB, "ss_arbytes": 0xCF3}])
    yield _record("real-mode-dpl", "cs_arbytes", "real", [{"cs_arbytes": 0xFB, "ss_arbytes": 0xF3}])
    yield _record("real-mode-dpl", "ss_arbytes", "real", [{"ss_arbytes": 0xF3, "cs_arbytes": 0xFB}])
    yield _record("real-mode-dpl", "ss_arbytes", "flat", [{"ss_arbytes": 0xCF3, "cs_arbytes": 0xC93}],
                  [{"ss_arbytes": 0xC93, "cs_arbytes": 0xC93}])
    for name in _CODE_OR_DATA:
        selector = 0x810 if name == "cs" else 0x10
        wrong = [{f"{name}_arbytes": 0x93}, {f"{name}_limit": 0x1FFFF}, {f"{name}_sel": selector}]
        yield _record("vm86-segment", f"{name}_arbytes", "flat", [{**_VM86, **each} for each in wrong], [{}, _VM86])


def _addresses() -> Iterator[Probe]:
    names = "fs_base gs_base tr_base gdtr_base idtr_base sysenter_esp sysenter_eip shadow_gs msr_lstar".split()
    for name in names:
        yield _record("base-not-canonical", name, "flat", each(name, _NOT_CANONICAL), [{}, {name: _HIGH_CANONICAL}])
    yield _record("base-not-canonical", "ldtr_base", "flat", [{**_LDT, "ldtr_base": _NOT_CANONICAL}],
                  [{**_LDT, "ldtr_base": _HIGH_CANONICAL}, {"ldtr_base": _NOT_CANONICAL, "ldtr_arbytes": 0}])
    for name in ("gdtr_limit", "idtr_limit"):
        yield _record("table-limit", name, "flat", each(name, 0x10000, 0xFFFFFFFF), [{}, {name: 0xFFFF}])


FATAL = (*_control(), *_flow(), *_events(), *_segments(), *_addresses())


def _usage() -> Iterator[Probe]:
    for make, rip, rsp in ((_record, "rip", "rsp"), (_context, "eip", "esp")):
        yield make("entry-zero", "rip", "flat", [{rip: 0}], [{}, {rip: 0, "cs_base": 0x1000}])
        yield make("no-stack", "rsp", "flat", [{rsp: 0}])
        yield make("stack-outside-limit", "rsp", "flat", [{"ss_limit": 0xFFFFF}], [{}, {"ss_limit": 0x4FFFFF}])
        yield make("rsp-not-canonical", "rsp", "long", [{"rsp": _NOT_CANONICAL}], [{}, {"rsp": _HIGH_CANONICAL}])
        yield make("cr3-zero", "cr3", "long", [{"cr3": 0}])
        yield make("cr3-unaligned", "cr3", "long", [{"cr3": _ROOT["long"] | 0x800}], [{"cr3": _ROOT["long"] | 0x18}])
        yield make("cr3-unaligned", "cr3", "pae", [{"cr3": _ROOT["pae"] | 4}], [{"cr3": _ROOT["pae"] | 0x20}])
    yield _record("interrupts-without-idt", "rflags", "flat", [{"rflags": 0x202}],
                  [{}, {"rflags": 0x202, "idtr_limit": 8}])
    yield _context("cr0-unknown-bit", "cr0", "flat", [{"cr0": 0x51}, {"cr0": 0x10000011 ^ 0x10020000}])
    yield _context("rflags-dropped", "rflags", "flat", [{"eflags": 0x8002}])
    yield _record("real-mode-base", "cs_base", "real", [{"cs_sel": 0x900}],
                  [{"cs_sel": 0x800}, {"cs_sel": 0xF000, "cs_base": 0xFFFF0000}])
    yield _record("real-mode-base", "cs_base", "real", [{"cs_sel": 0x900, "cs_base": 1 << 20}],
                  [{"cs_sel": 0xF000, "cs_base": 0xFFFF0000}])
    for name in ("ds", "es"):
        yield _context("null-data-segment", f"{name}_arbytes", "flat", [{f"{name}_ar": 0}])


def _sizes() -> Iterator[Probe]:
    for name in SEGMENTS:
        limit, ar = f"{name}_limit", f"{name}_arbytes"
        low = {"cs": 0x9B, "tr": 0x8B, "ldtr": 0x82}.get(name, 0x93)
        yield _record("limit-counts-bytes", limit, "flat", [{limit: 0xFFFFF, ar: 0x800 | low}],
                      [{limit: 0xFFFFF, ar: low}, {limit: 0x1FFFFF, ar: 0x800 | low}])
        yield _record("g-clear", ar, "flat", [{limit: 0x1FFFFF, ar: low}],
                      [{limit: 0x1FFFFF, ar: 0x800 | low}, {limit: 0xFFFFF, ar: low}])
        yield _record("ar-vmx-form", ar, "flat", [{ar: 0x4000 | low}, {ar: 0x10800 | low}])
        selector: Changes = {**(_LDT if name == "ldtr" else {}), f"{name}_sel": 0x18}
        yield _record("selector-beyond-gdt", f"{name}_sel", "flat", [selector, {**selector, "gdtr_limit": 0x17}],
                      [{**selector, "gdtr_limit": 0x1F}, {f"{name}_sel": 3}])
    for name in ("gdtr_limit", "idtr_limit"):
        yield _record("table-limit-partial", name, "flat", each(name, 0x18, 8), each(name, 0x17, 0, 0xFFFF))
    for field, name, good in (("cs_arbytes", "code-16-bit", 0xC9B), ("ss_arbytes", "stack-16-bit", 0xC93)):
        limit = field.replace("arbytes", "limit")
        yield _record(name, field, "flat", each(field, good & ~0x400), [{}, {field: good & ~0xC00, limit: 0xFFFF}])
    yield _record("l-outside-long-mode", "cs_arbytes", "flat", each("cs_arbytes", 0xA9B, 0xE9B))
    yield _record("l-outside-long-mode", "cs_arbytes", "long", [], each("cs_arbytes", 0xA9B))
    for name in _BOUNDED:
        limit, ar, low = f"{name}_limit", f"{name}_arbytes", 0x9B if name == "cs" else 0x93
        yield _record("limit-16-bit", limit, "flat", [{limit: 0xFFFF, ar: 0x400 | low}],
                      [{limit: 0xFFFF, ar: low}, {limit: 0x10000, ar: 0x400 | low}])


ADVICE = (*_usage(), *_sizes())


def _recipes(kind: str, probe: Probe) -> Iterator[Recipe]:
    for side, all_changes in ((BROKEN, probe.broken), (KEPT, probe.kept)):
        for changes in all_changes:
            yield Recipe(kind, PLAIN, FRESH, probe.base, changes, Claim(probe.rule, probe.field, side))


def of_interface(interface: str) -> Iterator[Recipe]:
    """The probes of the lints: Xen is asked only."""
    for probe in (*FATAL, *ADVICE):
        if probe.interface == interface:
            yield from _recipes(interface, probe)


def entered() -> Iterator[Recipe]:
    """The probes of the fatal lints that a vcpu is let run in, each state once; and every sound context."""
    yield from (Recipe(ENTRY_RECORD, PLAIN, FRESH, base, {}) for base in ("flat", "long", "real", "compat", "pae"))
    yield from (Recipe(ENTRY_VCPUOP, PLAIN, FRESH, base, {}) for base in ("flat", "long", "real", "compat", "pae"))
    for probe in FATAL:
        if probe.is_entered:
            kind = ENTRY_RECORD if probe.interface == RECORD else ENTRY_VCPUOP
            yield from (recipe for recipe in _recipes(kind, probe) if recipe.changes)


def all_probes() -> Iterable[Probe]:
    """Those of the fatal lints, then of the warnings."""
    return (*FATAL, *ADVICE)
