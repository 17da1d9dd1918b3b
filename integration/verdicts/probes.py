# SPDX-License-Identifier: MIT
"""Both sides of every rule and lint, by hand: what breaks it, and what just keeps it.

A probe names a rule and the first field of that row of the rules' tables; its sides are what Xen's source
and the manuals say, not what our rules say.
"""

from __future__ import annotations

from typing import Iterable, Iterator, List, NamedTuple, Sequence

from integration.verdicts.recipe import (
    BROKEN, FAR, FRESH, KEPT, PLAIN, POOR, RECORD, REGISTERED, VCPUOP, Changes, Claim, Recipe, each,
)

_GOOD = {"cs": 0xC9B, "ds": 0xC93, "ss": 0xC93, "es": 0xC93, "tr": 0x8B}
_RECORD_SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")
_DATA = ("ds", "es", "fs", "gs")
_V, _E = 1 << 31, 1 << 11
_CR4_LAB, _CR4_BITS = 0x7FC, range(32)
_HIGH = (1 << 32, 1 << 63)
_NOT_CANONICAL = (1 << 47, 0xFFFF7FFFFFFFFFFF, 0xFFFE800000000000, 0x800000000000 | 0x400000)
_CANONICAL = ((1 << 47) - 1, 0xFFFF800000000000, 0xFFFFFFFFFFFFFFFF)


class Probe(NamedTuple):
    """Contexts on both sides of one row of the rules' tables."""

    rule: str
    field: str
    base: str
    broken: Sequence[Changes]
    kept: Sequence[Changes] = ({},)
    domain: str = PLAIN


def _bits(field: str, base: int, bits: Iterable[int]) -> List[Changes]:
    return [{field: base ^ 1 << bit} for bit in bits]


def _attributes() -> Iterator[Probe]:
    for name, good in _GOOD.items():
        ar = f"{name}_ar"
        yield Probe("ar-reserved-bits", ar, "flat", _bits(ar, good, range(12, 16)), [{}, {ar: good ^ 0x100}])
        yield Probe("segment-not-present", ar, "flat", each(ar, good & ~0x80), [{}, {ar: good | 0x100}])
        if name != "tr":
            yield Probe("system-segment", ar, "flat", each(ar, good & ~0x10, good & ~0xF10 | 0x80))
        if name in ("cs", "ss", "tr"):
            yield Probe("null-segment", ar, "flat", each(ar, 0), [{}, {ar: good & ~0xF00}])
        if name in ("ds", "es"):
            yield Probe("data-not-readable", ar, "flat", each(ar, 0xC99, 0xC98, 0xC9D, 0x9C),
                        [{}, *each(ar, 0, 0xC9B, 0xC9A, 0xC9F, 0xC91, 0xC90, 0xC95, 0xC97)])
            yield Probe(f"{name}-dpl", ar, "flat", each(ar, 0xCB3, 0xCD3, 0xCF3),
                        [{}, *({"cs_ar": 0xCFB, "ss_ar": 0xCF3, ar: value} for value in (0xCF3, 0xCD3, 0xC93)),
                         {"cs_ar": 0xCBB, "ss_ar": 0xCB3, ar: 0xCB3}])
    yield Probe("cs-not-code", "cs_ar", "flat", each("cs_ar", *(0xC90 | kind for kind in range(8))),
                [{}, *each("cs_ar", *(0xC90 | kind for kind in range(8, 16)))])
    yield Probe("ss-not-writable", "ss_ar", "flat", each("ss_ar", 0xC91, 0xC90, 0xC95, *range(0xC98, 0xCA0)),
                [{}, *each("ss_ar", 0xC92, 0xC96, 0xC97)])
    yield Probe("tr-code-or-data", "tr_ar", "flat", each("tr_ar", 0x9B, 0xC9B, 0x99, 0x93))
    yield Probe("tr-not-32bit-tss", "tr_ar", "flat", each("tr_ar", *(0x80 | n for n in range(16) if n & ~2 != 9)),
                [{}, *each("tr_ar", 0x89, 0x88B, 0xF8B & 0x9FF)])


def _context_32b() -> Iterator[Probe]:
    for field in ("pad", "pad1", "pad2[0]", "pad2[1]", "pad2[2]"):
        yield Probe("pad-not-zero", field, "flat", each(field, 1, 0x8000, 0xFFFF))
    yield Probe("mode-unknown", "mode", "flat", each("mode", 2, 3, 0x100, 1 << 31, 0xFFFFFFFF))
    yield Probe(
        "eip-outside-cs", "eip", "flat",
        [{"cs_limit": 0x3FFFFF, "cs_ar": 0x49B}, {"eip": 0xFFFFFFFF, "cs_limit": 0xFFFFFFFE, "cs_ar": 0x49B},
         {"cs_limit": 0x3FF, "cs_ar": 0xC9B}, {"cs_limit": 0, "cs_ar": 0x49B}, {"cs_limit": 0x100000, "cs_ar": 0xC9B,
                                                                             "eip": 0x1000}],
        [{}, {"cs_limit": 0x400000, "cs_ar": 0x49B}, {"eip": 0xFFFFFFFF}, {"cs_limit": 0x400, "cs_ar": 0xC9B},
         {"cs_limit": 0x400, "cs_ar": 0xC9B, "eip": 0x400FFF}, {"cs_limit": 0, "eip": 0xFFF}],
    )
    yield Probe("ss-dpl", "ss_ar", "flat", [{"ss_ar": 0xCF3}, {"ss_ar": 0xCB3}, {"cs_ar": 0xCFB}, {"cs_ar": 0xCBB}],
                [{}, {"ss_ar": 0xCF3, "cs_ar": 0xCFB}, {"ss_ar": 0xCD3, "cs_ar": 0xCDB}])
    yield Probe("lma-without-lme", "efer", "flat", each("efer", 0x400, 0xC00, 0x401), [{}, {"efer": 0x500}])


def _efer(field: str, base: str) -> Iterator[Probe]:
    long = 0x500 if base == "long" else 0
    unknown = (1, 2, 3, 4, 7, 9, 15, 16, 20, 22, 31, 32, 63)
    yield Probe("efer-unknown-bit", field, base, _bits(field, long, unknown))
    for rule, bit in (("sce", 0), ("nxe", 11)):
        kept = [{}, {field: long | 1 << bit}]
        yield Probe(f"efer-{rule}", field, base, [], kept)
        yield Probe(f"efer-{rule}", field, "flat", [{field: 1 << bit}], [{}], POOR)
    yield Probe("efer-lme", field, base, [], [{}, {field: 0x500}] if base == "long" else [{}])
    yield Probe("efer-lme", field, "flat", [{field: 0x100}, {field: 0x500}], [{}], POOR)
    yield Probe("efer-lme", field, "long", [{}], [], POOR)
    for rule, bit in (("svme", 12), ("lmsle", 13), ("ffxse", 14), ("aibrse", 21)):
        yield Probe(f"efer-{rule}", field, base, [{field: long | 1 << bit}, {field: long | 1 << bit | 0x801}])


def _cr4(base: str) -> Iterator[Probe]:
    at = 0x20 if base == "long" else 0
    yield Probe(
        "cr4-bit", "cr4", base, [{"cr4": at | 1 << bit} for bit in _CR4_BITS if not _CR4_LAB >> bit & 1],
        [*({"cr4": at | 1 << bit} for bit in _CR4_BITS if _CR4_LAB >> bit & 1), {"cr4": _CR4_LAB}],
    )


def _context_64b() -> Iterator[Probe]:
    yield Probe("pad-not-zero", "pad", "long", each("pad", 1, 1 << 31))
    yield Probe("rip-not-canonical", "rip", "long", each("rip", *_NOT_CANONICAL), each("rip", *_CANONICAL))
    yield Probe("cr0-no-paging", "cr0", "long", each("cr0", 0x11, 0x7FFFFFFF, 1 << 32),
                [{}, *each("cr0", 0x80000000, 0xFFFFFFFFFFFFFFFF)])
    yield Probe("cr4-no-pae", "cr4", "long", each("cr4", 0, 0x7DC), each("cr4", 0x20, 0x7FC))
    yield Probe("efer-no-lme", "efer", "long", each("efer", 0, 0x400, 0xC01, 0x80000000), each("efer", 0x100, 0xD01))


def _context() -> Iterator[Probe]:
    yield from _attributes()
    yield from _context_32b()
    yield from _context_64b()
    for base in ("flat", "long"):
        yield from _efer("efer", base)
        yield from _cr4(base)


def _record() -> Iterator[Probe]:
    reserved = [bit for bit in range(64) if not 0xE005003F >> bit & 1]
    event = "pending_event"
    yield Probe("pad-not-zero", "pad0", "flat", each("pad0", 1, 0x8000, 1 << 31))
    yield Probe("cr0-reserved-bit", "cr0", "flat", _bits("cr0", 0x11, reserved),
                [{}, *each("cr0", *(0x11 | 1 << bit for bit in range(32) if bit not in reserved), 0xE005003F)])
    yield Probe("cr0-no-et", "cr0", "flat", each("cr0", 0, 1, 0x2F), each("cr0", 0x10, 0x11))
    yield Probe("cr0-pg-without-pe", "cr0", "flat", each("cr0", 0x80000010, 0xE005003E),
                each("cr0", 0x80000011, 0x10))
    for base in ("flat", "long"):
        yield from _efer("msr_efer", base)
        yield from _cr4(base)
    yield Probe("efer-lma", "msr_efer", "flat", each("msr_efer", 0x400, 0x500, 0xD01), [{}, {"msr_efer": 0x100}])
    yield Probe("efer-lma", "msr_efer", "long", [{"msr_efer": 0x400}, {"cr0": 0x11}], [{}, {"msr_efer": 0x100}])
    for name in ("dr6", "dr7"):
        yield Probe(f"{name}-high-bits", name, "flat", each(name, *_HIGH, 0x1FFFFFFFF), each(name, 0xFFFFFFFF, 0))
    yield Probe("cr3-width", "cr3", "flat", each("cr3", 1 << 40, 1 << 51, 1 << 63),
                each("cr3", (1 << 40) - 1, 1 << 39))
    yield Probe("flags-unknown", "flags", "flat", each("flags", 2, 3, 1 << 31, 0xFFFFFFFF), each("flags", 0, 1))
    yield Probe("tsc-aux-high-bits", "msr_tsc_aux", "flat", each("msr_tsc_aux", *_HIGH), [{"msr_tsc_aux": 0xFFFFFFFF}])
    yield Probe("pending-event-type", event, "flat", each(event, _V | 0x100, _V | 0x120 | _E, _V | 0x700, _V | 0x7FF),
                [{}, *each(event, 0x100, 0x700, _V, _V | 0x20, _V | 0x202, _V | 0x306, _V | 0x480)])
    yield Probe("pending-event-type-svm", event, "flat", each(event, _V | 0x500, _V | 0x603, _V | 0x6FF),
                each(event, 0x500, 0x600, _V | 0x4FF))
    yield Probe("pending-event-reserved", event, "flat", _bits(event, _V, (12, 13, 16, 24, 29, 30)),
                [{}, *each(event, 0x7FFFF000, _V | 0xFF)])
    yield Probe(
        "error-code-width", "error_code", "flat",
        [{event: _V | _E | 0x30E, "error_code": value} for value in (0x10000, 1 << 31, 0xFFFFFFFF)],
        [{event: _V | _E | 0x30E, "error_code": 0xFFFF}, {event: _V | 0x306, "error_code": 0x10000},
         {event: _E, "error_code": 0x10000}],
    )


CONTEXT_PROBES = tuple(_context())
RECORD_PROBES = tuple(_record())


def _unfolded(kind: str, probes: Iterable[Probe]) -> Iterator[Recipe]:
    for probe in probes:
        for side, all_changes in ((BROKEN, probe.broken), (KEPT, probe.kept)):
            for changes in all_changes:
                yield Recipe(kind, probe.domain, FRESH, probe.base, changes, Claim(probe.rule, probe.field, side))


def _far() -> Iterator[Recipe]:
    for target, side in ((FAR, BROKEN), (REGISTERED, KEPT), (FRESH, KEPT)):
        for base in ("flat", "long"):
            yield Recipe(VCPUOP, PLAIN, target, base, {}, Claim("vcpu-info", "vcpuid", side))


def of_contexts() -> Iterator[Recipe]:
    """The probes of the rules for VCPUOP_initialise."""
    yield from _unfolded(VCPUOP, CONTEXT_PROBES)
    yield from _far()


def of_records() -> Iterator[Recipe]:
    """The probes of the rules for CPU records."""
    yield from _unfolded(RECORD, RECORD_PROBES)
