# SPDX-License-Identifier: MIT
"""CONTEXT on the command line: a context file, stdin, or a preset by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xenvcpu.context.presets import PRESETS
from xenvcpu.contextfile import ContextTemplate, from_mapping, load
from xenvcpu.errors import ContextFileError

PRESET = "preset:"
_NONE: Mapping[str, str] = {}


def read(context: str, settings: Mapping[str, str] = _NONE) -> ContextTemplate:
    """The template that CONTEXT and the `--set` options give.

    Raises:
        ContextFileError: As `xenvcpu.contextfile.load`.
    """
    if context.startswith(PRESET):
        return from_mapping({"preset": context[len(PRESET) :]}, settings, name=context)
    if context in PRESETS and not Path(context).exists():
        raise ContextFileError(
            f"{context}: no such file", value=context, rule="file", remedy=f"the preset is {PRESET}{context}"
        )
    return load(context, settings)
