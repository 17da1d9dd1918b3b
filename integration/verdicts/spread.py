# SPDX-License-Identifier: MIT
"""Contexts around the sound ones: every single bit that counts, and random ones that are nearly valid."""

from __future__ import annotations

import random
from typing import Callable, Dict, Iterator, Sequence, Tuple

from integration.verdicts.bases import BASES
from integration.verdicts.recipe import (
    FAR, FRESH, INITIALISED, MISSING, NOWHERE, PLAIN, POOR, RECORD, REGISTERED, VCPUOP, Recipe,
)
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Layout

_CONTEXT_BASES = ("flat", "long", "real", "compat", "pae")
_RECORD_SWEEP = (
    "cr0 cr3 cr4 msr_efer dr6 dr7 flags pad0 msr_tsc_aux pending_event rflags rip cs_arbytes tr_arbytes".split()
)
_RARE = ("pad", "pad1", "pad2[0]", "pad2[1]", "pad2[2]", "pad0", "mode")
_CONTROL = frozenset("cr0 cr3 cr4 efer msr_efer dr6 dr7 flags rip eip msr_tsc_aux error_code".split())
_ENDS = (0, 1, 0xFFFF, 0x10000, 0xFFFFF, 0x100000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_KEEPS_CR4, _KEEPS_EFER = 0x7FC, 0xD01
_CRASHES_DOMAIN = 0.97
"""Of random events to inject, how many are left out: one that is refused costs a domain."""


def _layout(interface: str, base: str) -> Layout:
    if interface == RECORD:
        return cpu_record.LAYOUT
    return vcpu_hvm_context.LAYOUT_64B if base == "long" else vcpu_hvm_context.LAYOUT_32B


def _flipped(interface: str, base: str, fields: Sequence[str]) -> Iterator[Recipe]:
    layout, values = _layout(interface, base), BASES[f"{interface} {base}"]
    for field in fields:
        for bit in range(8 * layout.fields[field].size):
            yield Recipe(interface, PLAIN, FRESH, base, {field: values.get(field, 0) ^ 1 << bit})


def every_bit(interface: str) -> Iterator[Recipe]:
    """Each bit of the sound contexts turned over, one at a time."""
    if interface == RECORD:
        for base in ("flat", "long"):
            yield from _flipped(RECORD, base, _RECORD_SWEEP)
        return
    for base, skipped in (("flat", "eax"), ("long", "rax")):
        fields = [name for name in _layout(VCPUOP, base).fields if name not in (skipped, "mode")]
        yield from _flipped(VCPUOP, base, fields)
    yield from _flipped(VCPUOP, "real", ["cs_ar", "tr_ar", "ss_ar", "ds_ar", "cs_limit"])


def _attributes(random_: random.Random, old: int) -> int:
    style = random_.random()
    if style < 0.5:
        return old & ~0x7F | random_.choice((0x10, 0x10, 0)) | random_.randrange(16) | random_.choice((0, 0, 0x60))
    if style < 0.8:
        return old ^ 1 << random_.randrange(16)
    return random_.getrandbits(random_.choice((8, 12, 16)))


def _number(random_: random.Random, old: int, bits: int) -> int:
    top = (1 << bits) - 1
    style = random_.random()
    if style < 0.35:
        return old ^ 1 << random_.randrange(bits)
    if style < 0.6:
        return random_.choice((*_ENDS, top, top ^ 1, 1 << bits - 1, 1 << 47 & top)) & top
    if style < 0.8:
        return old + random_.choice((-1, 1, 0x1000)) & top
    return random_.getrandbits(random_.randrange(1, bits + 1))


def _control(random_: random.Random, field: str, old: int, bits: int) -> int:
    if random_.random() < 0.5:
        return _number(random_, old, bits)
    if field == "cr4":
        return (random_.getrandbits(32) & _KEEPS_CR4) | (old & 0x20)
    if field in ("efer", "msr_efer"):
        return random_.getrandbits(32) & _KEEPS_EFER
    if field == "cr0":
        return (random_.getrandbits(32) & 0xE005003F) | random_.choice((0x10, 0x11, 0x80000011))
    return random_.getrandbits(random_.randrange(1, bits + 1))


def _event(random_: random.Random) -> int:
    kept = random_.getrandbits(8) | random_.choice((0, 2, 3, 4)) << 8 | random_.choice((0, 1 << 11))
    if random_.random() < _CRASHES_DOMAIN:
        return kept | random_.choice((0, 1 << 31))
    return random_.getrandbits(32)


def _value(random_: random.Random, field: str, old: int, bits: int) -> int:
    if field == "pending_event":
        return _event(random_)
    if field.endswith(("_ar", "_arbytes")):
        return _attributes(random_, old)
    make: Callable[..., int] = _number
    if field in _CONTROL:
        return _control(random_, field, old, bits)
    return make(random_, old, bits)


def _changes(random_: random.Random, layout: Layout, base: Dict[str, int]) -> Dict[str, int]:
    fields = [name for name in layout.fields if name not in _RARE]
    weighty = [name for name in fields if name in _CONTROL or name.endswith(("_ar", "_limit"))]
    chosen = random_.sample(weighty if random_.random() < 0.7 else fields, random_.choice((1, 2, 2, 3, 4)))
    if random_.random() < 0.01:
        chosen.append(random_.choice([name for name in _RARE if name in layout.fields]))
    changes = {}
    for name in chosen:
        bits = 8 * layout.fields[name].size
        changes[name] = _value(random_, name, base.get(name, 0), bits) & (1 << bits) - 1
    return changes


def _place(random_: random.Random, interface: str) -> Tuple[str, str]:
    """A domain and a target; mostly the plain ones."""
    dice = random_.random()
    if dice < 0.9:
        return PLAIN, FRESH
    if dice < 0.95:
        return POOR, FRESH
    if interface == RECORD:
        return PLAIN, random_.choice((FRESH, MISSING))
    return PLAIN, random_.choice((FAR, REGISTERED, INITIALISED, MISSING))


def at_random(interface: str, seed: str) -> Iterator[Recipe]:
    """Random contexts without end, the same for the same seed."""
    random_ = random.Random(f"{interface} {seed}")
    while True:
        base = random_.choice(_CONTEXT_BASES)
        domain, target = _place(random_, interface)
        if interface == VCPUOP and random_.random() < 0.002:
            yield Recipe(VCPUOP, domain, target, NOWHERE, {})
            continue
        values = dict(BASES[f"{interface} {base}"])
        yield Recipe(interface, domain, target, base, _changes(random_, _layout(interface, base), values))
