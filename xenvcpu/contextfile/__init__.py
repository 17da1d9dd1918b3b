# SPDX-License-Identifier: MIT
"""Context files: what a vcpu starts with, written by people in TOML or by programs in JSON.

The keys are the C field names of `struct vcpu_hvm_context` and, for what the dom0
interface alone carries, of `struct hvm_hw_cpu`. A value is an integer, or a string with
an expression in `vcpuid`. An MSR that has a field of its own may also stand in `[msrs]` under its
number. With `format = "..."` a file is the image of one C struct.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from xenvcpu.contextfile import source
from xenvcpu.contextfile.formats import FORMATS, Format, convert, format_of
from xenvcpu.contextfile.template import SCHEMA, ContextTemplate, understand
from xenvcpu.contextfile.writing import as_mapping, dump, hexed

__all__ = [
    "FORMATS", "SCHEMA", "ContextTemplate", "Format", "as_mapping", "convert", "dump", "format_of", "from_mapping",
    "hexed", "load", "loads",
]

_NONE: Mapping[str, object] = {}


def load(path: str | os.PathLike[str], overrides: Mapping[str, object] = _NONE) -> ContextTemplate:
    """Read a context file.

    Args:
        path: The file; `-` is stdin.
        overrides: Keys to give anew, as `--set KEY=VALUE` does; `msrs.0xc0000081` is one MSR.

    Raises:
        ContextFileError: The file cannot be read, or a key or value is wrong; the message
            names file, line, key and the nearest right name.
    """
    return understand(source.read(path).override(overrides.items()))


def loads(text: str, overrides: Mapping[str, object] = _NONE, name: str = "<text>") -> ContextTemplate:
    """Read a context file from its text, TOML or JSON. Raises as `load` does."""
    return understand(source.parse(text, name).override(overrides.items()))


def from_mapping(
    data: Mapping[str, object], overrides: Mapping[str, object] = _NONE, name: str = "<mapping>"
) -> ContextTemplate:
    """Read a context file that a program has parsed, or built, itself. Raises as `load` does."""
    return understand(source.Source(name, data).bounded().override(overrides.items()))
