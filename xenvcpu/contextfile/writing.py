# SPDX-License-Identifier: MIT
"""A context or an image written as a context file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from xenvcpu.abi.layout import Image
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.formats import format_of
from xenvcpu.contextfile.template import SCHEMA
from xenvcpu.contextfile.vocabulary import FPU, LENGTH, MODES, MSRS, keys, vars_of

_DECIMAL = ("schema", LENGTH)
_TOML_BITS = 63


def as_mapping(value: VcpuContext | Image) -> dict[str, Any]:
    """The keys and values of the context file that holds a context or an image."""
    return _of_image(value) if isinstance(value, Image) else _of_context(value)


def _of_image(image: Image) -> dict[str, Any]:
    form = format_of(image)
    data: dict[str, Any] = {"schema": SCHEMA, "format": form.name}
    if image.layout.size != form.sizes[0]:
        data[LENGTH] = image.layout.size
    data.update(image.values)
    if "mode" in data:
        data["mode"] = form.modes.get(image["mode"], image["mode"])
    if any(image.rest):
        data[form.rest_key] = image.rest.hex()
    return data


def _of_context(context: VcpuContext) -> dict[str, Any]:
    data: dict[str, Any] = {"mode": next(name for name, mode in MODES.items() if mode is context.mode)}
    for name, key in keys(context.mode).items():
        held = getattr(context, key.field)
        if held is None:
            continue
        value = held if key.part is None else getattr(held, key.part)
        if isinstance(held, Segment) and key.part == "selector" and not value:
            continue
        data[name] = value
    if context.fpu_regs is not None:
        data[FPU] = context.fpu_regs.hex()
    if context.msrs:
        data[MSRS] = {hex(index): value for index, value in context.msrs}
    return data


def dump(
    value: VcpuContext | Image, style: str = "toml", comment: str = "",
    expressions: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A context file that holds a context or an image.

    Args:
        value: What to write.
        style: `toml` or `json`.
        comment: Lines to put above it, in TOML.
        expressions: Keys to write as these expressions, in place of their values.
    """
    data = {**as_mapping(value), **expressions}
    if style == "json" or isinstance(value, Image):
        return written(data, style, comment)
    # A register that is zero anyway shows its key, and leaves it free for a line of the reader's own.
    free = [name for name in vars_of(value.mode) if data.get(name) == 0 and "_" not in name]
    if len(free) == len(data) - 1:
        free = []  # nothing else but the mode is given, and a file without a register is refused
    kept = {key: item for key, item in data.items() if key not in free}
    zeros = [f"# {name} = 0x0" for name in free]
    lines = written(kept, style, comment).split("\n")
    split = next((at for at, line in enumerate(lines) if not line), len(lines))
    return "\n".join([*lines[:split], *zeros, *lines[split:]])


def written(data: Mapping[str, Any], style: str = "toml", comment: str = "") -> str:
    """The text of a file with these keys and values."""
    if style == "json":
        return json.dumps(hexed(data), indent=2)
    return "\n".join([*(f"# {line}".rstrip() for line in comment.splitlines()), *_toml(data)])


def hexed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys with integers as hex strings, since JSON readers lose bits above 53."""
    return {key: _hexed(key, value) for key, value in data.items()}


def _hexed(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return hexed(value)
    if isinstance(value, list):
        return [_hexed(key, item) for item in value]
    return hex(value) if isinstance(value, int) and key not in _DECIMAL else value


def _toml(data: Mapping[str, Any], table: str = "") -> Iterator[str]:
    nested = {key: value for key, value in data.items() if isinstance(value, (dict, list))}
    yield from (f"{_toml_key(key)} = {_toml_value(key, value)}" for key, value in data.items() if key not in nested)
    for key, value in nested.items():
        name = f"{table}{_toml_key(key)}"
        for item in [value] if isinstance(value, dict) else value:
            yield from ("", f"[{name}]" if isinstance(value, dict) else f"[[{name}]]")
            yield from _toml(item, f"{name}.")


def _toml_key(key: str) -> str:
    return key if key.replace("_", "a").isalnum() and key.isascii() else json.dumps(key)


def _toml_value(key: str, value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if key in _DECIMAL:
        return str(value)
    # TOML promises 63 bits and a sign: what needs more goes in as an expression.
    return hex(value) if value >> _TOML_BITS == 0 else f'"{value:#x}"'
