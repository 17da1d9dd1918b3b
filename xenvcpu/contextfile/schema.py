# SPDX-License-Identifier: MIT
"""The JSON Schema of context files, made from the tables that the reader goes by.

`python -m xenvcpu.contextfile.schema` prints it; what ships is `schema.json` beside
this module. A schema cannot evaluate an expression, so a string is judged by its
characters only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xenvcpu.abi.cpu_record import FPU_SIZE
from xenvcpu.abi.layout import Layout
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.presets import PRESETS
from xenvcpu.contextfile import expression
from xenvcpu.contextfile.formats import FORMATS, Format
from xenvcpu.contextfile.template import SCHEMA
from xenvcpu.contextfile.vocabulary import FPU, LENGTH, MODES, MSRS, canonical, keys

DIALECT = "https://json-schema.org/draft/2020-12/schema"
WIDTHS = (16, 32, 64)
_PATTERN = expression.PATTERN
_Schema = dict[str, Any]


def _integer(bits: int) -> _Schema:
    return {"$ref": f"#/$defs/u{bits}"}


def _definitions() -> _Schema:
    text = {"type": "string", "pattern": _PATTERN, "maxLength": expression.MAX_LENGTH}
    return {
        f"u{bits}": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": (1 << bits) - 1}, text]} for bits in WIDTHS
    }


def _hex(size: int) -> _Schema:
    return {"type": "string", "pattern": f"^([0-9a-fA-F]{{2}}){{{size}}}$"}


def _head() -> _Schema:
    return {"schema": {"enum": [SCHEMA, str(SCHEMA)]}, "description": {"type": "string"}}


def _context(mode: Mode) -> _Schema:
    presets = [name for name, preset in PRESETS.items() if preset().mode is mode]
    modes = [name for name, value in MODES.items() if value is mode]
    properties: _Schema = {**_head(), "mode": {"enum": modes}, "preset": {"enum": presets}}
    for name, key in keys(mode).items():
        properties[name] = _integer(key.bits)
        if name.endswith("_ar"):
            properties[f"{name}bytes"] = _integer(key.bits)
            assert canonical(f"{name}bytes") == name
    properties[FPU] = _hex(FPU_SIZE)
    properties[MSRS] = {
        "type": "object", "propertyNames": {"pattern": _PATTERN}, "additionalProperties": _integer(64),
    }
    # Without either key a file is 32B.
    said = [{"required": ["mode"]}, {"required": ["preset"]}, *([{}] if mode is Mode.VCPU_HVM_MODE_32B else [])]
    # Xen would take the zeros of a file that gives nothing; the reader does not.
    return _closed(properties, anyOf=said, **{"not": {"propertyNames": {"enum": [*_head(), "mode"]}}})


def _closed(properties: _Schema, **more: Any) -> _Schema:
    return {"properties": properties, "additionalProperties": False, **more}


def _image(form: Format, layout: Layout, modes: Mapping[int, str]) -> _Schema:
    properties: _Schema = {**_head(), "format": {"const": form.name}}
    if len(form.sizes) > 1:
        properties[LENGTH] = {"enum": list(form.sizes)}
    properties.update({name: _integer(8 * field.size) for name, field in layout.fields.items()})
    if form.modes:
        known = list(modes.values())
        properties["mode"] = {"anyOf": [{"enum": known}, _integer(32)]}
    properties[form.rest_key] = {"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"}
    return _closed(properties, required=["format"])


def _images(form: Format) -> list[_Schema]:
    if not form.modes:
        return [_image(form, form.layout(0, size), {}) for size in form.sizes]
    # An unknown mode has the layout of another: any of the layouts may fit a number.
    return [_image(form, form.layout(mode, form.sizes[0]), {mode: name}) for mode, name in form.modes.items()]


def generate() -> _Schema:
    """The schema, as a JSON value."""
    images = [image for form in FORMATS.values() for image in _images(form)]
    return {
        "$schema": DIALECT,
        "$id": "https://xenvcpu.invalid/schema.json",
        "title": "xenvcpu context file",
        "description": "What a vcpu starts with. Without `format`, a context; with it, the image of one C struct.",
        "type": "object",
        "anyOf": [*(_context(mode) for mode in MODES.values()), *images],
        "$defs": _definitions(),
    }


def text() -> str:
    """The schema as `schema.json` has it."""
    return json.dumps(generate(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
