# SPDX-License-Identifier: MIT
"""What no context file has: too deep a nest, too long a key, too large a number.

A file is read within the bounds of its size and of these, so that none takes the reader
long, much memory or a very long message, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

MAX_DEPTH = 6
"""The MSRs of a record of a save stream lie four deep."""

MAX_KEY = 200
"""As many characters as an expression may have: the number of an MSR is one."""

MAX_BITS = 128
MAX_DOTS = 250
"""How many dots may stand on a line of TOML between two equals signs.

The parsers take time that grows as the square of the parts of a dotted key.
"""

_SHOWN = 200


class Excess(NamedTuple):
    """Something beyond the bounds.

    Attributes:
        key: The key that it stands under, as far as it may be shown; None for a line.
        line: Its line, from 1; 0 where not known.
        problem: What is wrong with it.
    """

    key: Optional[str]
    line: int
    problem: str


def dotted(text: str) -> Excess | None:
    """The first line of a text in TOML with a dotted key of too many parts, or None."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS and max(part.count(".") for part in line.split("=")) > MAX_DOTS:
            return Excess(None, number, f"more than {MAX_DOTS} dots")
    return None


def excess(data: Mapping[str, Any]) -> Excess | None:
    """The first thing beyond the bounds among the keys and values of a file, or None."""
    waiting: list[tuple[str, int, object]] = [("", 0, data)]
    while waiting:
        path, depth, value = waiting.pop()
        if isinstance(value, int):
            if value.bit_length() > MAX_BITS:
                return Excess(path, 0, f"a number of {value.bit_length()} bits")
        elif isinstance(value, (Mapping, list)):
            if depth > MAX_DEPTH:
                return Excess(path, 0, f"nested more than {MAX_DEPTH} deep")
            for key, item in _items(value):
                if len(key) > MAX_KEY:
                    return Excess(cut(key), 0, f"a key of {len(key)} characters")
                waiting.append((f"{path}.{key}" if path else key, depth + 1, item))
    return None


def _items(value: Mapping[Any, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(key), item) for key, item in (value.items() if isinstance(value, Mapping) else enumerate(value)))


def cut(text: str) -> str:
    """A text as a message has it: the beginning of a long one."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def shown(value: object) -> str:
    """A value as a message has it."""
    return cut(repr(value))
