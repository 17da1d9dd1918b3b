# SPDX-License-Identifier: MIT
"""A context file that was understood: a template that gives each vcpu its context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from xenvcpu.abi.cpu_record import FPU_SIZE
from xenvcpu.abi.layout import Image
from xenvcpu.context import attribute_word
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.segment import DescriptorTable
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.bounds import shown
from xenvcpu.contextfile.expression import Expression
from xenvcpu.contextfile.formats import FORMATS, Format
from xenvcpu.contextfile.source import Source
from xenvcpu.contextfile.values import Number, constant, hex_bytes, read_number
from xenvcpu.contextfile.vocabulary import (
    CONTROL, FPU, LENGTH, MODES, MSRS, NAMED_MSRS, TABLES, Key, canonical, default_segment, hint, keys, nearest,
    spelled_in,
)
from xenvcpu.errors import ContextError

SCHEMA = 1
"""The version of what `--json` prints and context files are."""

_MSR_INDEX_BITS, _MSR_BITS = 32, 64
_MODE_BITS = 32


def _choice(source: Source, key: str, known: Iterable[str]) -> str:
    value, names = source.data[key], tuple(known)
    if value in names:
        return str(value)
    close = nearest(value, names) if isinstance(value, str) else None
    meant = f"did you mean {close}? " if close else ""
    raise source.error(
        key, f"{shown(value)} is not known", value=value, rule="choice", remedy=f"{meant}one of {', '.join(names)}"
    )


@dataclass(frozen=True)
class ContextTemplate:
    """A context file, read and checked as far as it can be without a vcpuid.

    Attributes:
        source: Where it came from.
        description: What its author says about it.
        format: The struct whose image it is, or None for a context.
        base: What the file starts from: the preset, or an empty context or image.
        numbers: Its integers.
        blob: The FPU image, or the bytes that no field covers; None where not given.
    """

    source: Source
    base: VcpuContext | Image
    numbers: tuple[Number, ...]
    msrs: tuple[tuple[int, Number], ...] = ()
    blob: bytes | None = None
    format: Format | None = None
    description: str = ""

    @property
    def is_per_vcpu(self) -> bool:
        """Whether a value depends on `vcpuid`."""
        return any(isinstance(number.value, Expression) for number in (*self.numbers, *(n for _, n in self.msrs)))

    def render(self, vcpuid: int) -> VcpuContext | Image:
        """The context for one vcpu; for an image file, the image.

        Raises:
            ContextFileError: An expression fails, or its value does not fit, for this vcpu.
        """
        values = {number.key: number.at(self.source, vcpuid) for number in self.numbers}
        self._require_attributes(values)
        if isinstance(self.base, Image):
            return replace(self.base.with_values(**values), rest=self.base.rest if self.blob is None else self.blob)
        return self._context(self.base, values, vcpuid)

    def _require_attributes(self, values: Mapping[str, int]) -> None:
        """In a context an attribute word may have any of three forms; in the image of a struct it is literal."""
        for key, value in values.items() if self.format is None else ():
            if key.endswith("_ar"):
                try:
                    attribute_word.understood(value)
                except ContextError as exc:
                    raise self.source.error(key, str(exc), value=value, rule=exc.rule) from exc

    def _context(self, base: VcpuContext, values: Mapping[str, int], vcpuid: int) -> VcpuContext:
        changes: dict[str, Any] = {}
        vocabulary = keys(base.mode)
        for name, value in values.items():
            key = vocabulary[name]
            if key.part is None:
                changes[key.field] = value
                continue
            held = changes.get(key.field) or getattr(base, key.field) or _fresh(base, key)
            changes[key.field] = replace(held, **{key.part: value})
        if self.blob is not None:
            changes[FPU] = self.blob
        if self.msrs:
            changes[MSRS] = tuple((index, number.at(self.source, vcpuid)) for index, number in self.msrs)
        return base.replace(**changes)


def _fresh(base: VcpuContext, key: Key) -> Any:
    return DescriptorTable() if key.field in TABLES else default_segment(base.mode, key.field)


def understand(source: Source) -> ContextTemplate:
    """Turn a file into a template.

    Raises:
        ContextFileError: A key or value is wrong.
    """
    if "schema" in source.data and source.data["schema"] not in (SCHEMA, str(SCHEMA)):
        raise source.error(
            "schema", f"{shown(source.data['schema'])} is not known", rule="schema",
            remedy=f"this xenvcpu reads {SCHEMA}",
        )
    description = source.data.get("description", "")
    if not isinstance(description, str):
        raise source.error("description", "must be a string", value=description, rule="type")
    if "format" in source.data:
        return replace(_image(source), description=description)
    return replace(_context(source), description=description)


@lru_cache(maxsize=None)
def _preset(name: str) -> VcpuContext:
    return PRESETS[name]()


def _context(source: Source) -> ContextTemplate:
    given = {"mode": source.data.get("mode")} if "mode" in source.data else {}
    mode = MODES[_choice(source, "mode", MODES)] if given else MODES["32B"]
    base = VcpuContext(mode)
    if "preset" in source.data:
        name = _choice(source, "preset", PRESETS)
        base = _preset(name)
        if given and base.mode is not mode:
            problem = f"preset {name} is not {source.data['mode']}"
            raise source.error("mode", problem, rule="choice", remedy="leave it out")
    vocabulary, blob = keys(base.mode), None
    numbers: dict[str, Number] = {}
    msrs: tuple[tuple[int, Number], ...] = ()
    for written, value in source.data.items():
        name = canonical(written)
        if name in vocabulary:
            number = read_number(source, written, value, vocabulary[name].bits)
            _give(source, written, numbers, replace(number, key=name))
        elif name == FPU:
            blob = hex_bytes(source, name, value, FPU_SIZE)
        elif name == MSRS:
            listed = read_msrs(source, value)
            msrs = tuple(pair for pair in listed if pair[0] not in NAMED_MSRS)
            for index, number in listed:
                if index in NAMED_MSRS:
                    _give(source, number.key, numbers, replace(number, key=NAMED_MSRS[index]))
        elif name not in CONTROL:
            raise source.error(written, "no such key", value=value, rule="unknown-key", remedy=hint(name, base.mode))
    if not (numbers or msrs or blob or "preset" in source.data):
        problem = "neither a preset nor a register is given"
        raise source.error("preset", problem, rule="empty", remedy="`xenvcpu preset` lists the presets")
    return ContextTemplate(source, base, tuple(numbers.values()), msrs, blob)


def _give(source: Source, written: str, numbers: dict[str, Number], number: Number) -> None:
    if number.key in numbers:
        raise source.error(written, f"the same as {number.key}, which is given too", rule="duplicate")
    numbers[number.key] = number


def read_msrs(source: Source, table: object) -> tuple[tuple[int, Number], ...]:
    """The table of MSRs by number.

    Raises:
        ContextFileError: Not a table, or an index or a value is wrong.
    """
    if not isinstance(table, dict):
        raise source.error(MSRS, 'must be a table of "index" = value', value=table, rule="type")
    found: dict[int, Number] = {}
    for index, value in table.items():
        key = f"{MSRS}.{index}"
        number = read_number(source, key, index, _MSR_INDEX_BITS).value
        if not isinstance(number, int):
            raise source.error(key, "the index of an MSR cannot depend on vcpuid", value=index, rule="type")
        if number in found:
            raise source.error(key, "this MSR is given twice", value=number, rule="duplicate")
        found[number] = read_number(source, key, value, _MSR_BITS)
    return tuple(found.items())


def _image(source: Source) -> ContextTemplate:
    form = FORMATS[_choice(source, "format", FORMATS)]
    length = constant(source, LENGTH, form.sizes[0]) if form.rest_key == FPU else form.sizes[0]
    if length not in form.sizes:
        raise source.error(
            LENGTH, f"{length} is not a length of {form.name}", value=length, rule="range",
            remedy=f"one of {', '.join(map(str, form.sizes))}",
        )
    layout = form.layout(_mode(source, form), length)
    base = layout.image()
    numbers, blob = [], None
    for key, value in source.data.items():
        if key == "mode" and form.modes:
            numbers.append(Number(key, _mode(source, form), _MODE_BITS))
        elif key in layout.fields:
            numbers.append(read_number(source, key, value, 8 * layout.fields[key].size))
        elif key == form.rest_key:
            blob = hex_bytes(source, key, value, layout.rest_size)
        elif key not in ("schema", "format", "description", *([LENGTH] if form.rest_key == FPU else [])):
            close = spelled_in(key, layout.fields) or nearest(key, [*layout.fields, form.rest_key])
            raise source.error(
                key, f"{layout.name} has no such field", value=value, rule="unknown-key",
                remedy=f"did you mean {close}?" if close else f"an image of {form.name} has that struct's C names only",
            )
    return ContextTemplate(source, base, tuple(numbers), blob=blob, format=form)


def _mode(source: Source, form: Format) -> int:
    value = source.data.get("mode", 0)
    names = {name: mode for mode, name in form.modes.items()}
    if not form.modes:
        return 0
    return names[value] if isinstance(value, str) and value in names else constant(source, "mode", 0)
