# SPDX-License-Identifier: MIT
"""A context file of absurd contents is refused at once, in a short message with its place."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest

from xenvcpu.contextfile import bounds, from_mapping, loads
from xenvcpu.contextfile.bounds import MAX_DEPTH
from xenvcpu.errors import ContextFileError

KIB = 1 << 10


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "a dotted key of many parts": (lambda: "x = 1\n" + "a." * 200 * KIB + "a = 1", "<text>:2: .*250 dots"),
    "a table header of many parts": (lambda: "[" + "a." * 200 * KIB + "a]", "<text>:1: .*250 dots"),
    "a dotted key in an inline table": (lambda: "x = {" + "a." * 200 * KIB + "a = 1}", "<text>:1: .*250 dots"),
    "a deep array": (lambda: "eip = " + "[" * 500 * KIB, "not TOML"),
    "a deep object": (lambda: '{"a":' * 100 * KIB, "not JSON"),
    "an array that the parser can just read": (lambda: f"\neip = {'[' * 20}{']' * 20}", "<text>:2: .*nested more than"),
    "many keys, the last of them twice": (
        lambda: "{" + "".join(f'"k{n}": 1, ' for n in range(60 * KIB)) + '"k61439": 1}', "k61439 stands twice",
    ),
    "a number of many hex digits": (lambda: "eip = 0x" + "f" * 500 * KIB, "<text>:1: eip: a number of 2048000 bits"),
    "a number of many decimal digits": (lambda: "eip = " + "9" * 500 * KIB, "not TOML|number of"),
    "a long key": (lambda: "k" * 500 * KIB + " = 1", "<text>.*: a key of 512000 characters"),
    "a long blank key among blanks": (
        lambda: '"' + " " * 400 * KIB + '" = 1\n' + " " * 400 * KIB + "\n", "a key of 409600 characters",
    ),
    "an empty key among blanks": (lambda: '"" = 1\n' + " " * 400 * KIB + "\n", "<text>: : no such key"),
    "a blank key among blanks": (lambda: '" " = 1\n' + " " * 400 * KIB + "\n", "<text>:  : no such key"),
    "a long value where a word belongs": (lambda: f'mode = "{"m" * 500 * KIB}"', "<text>:1: mode: .*is not known"),
    "a long number of an MSR": (lambda: f'{{"msrs": {{"{"1" * 500 * KIB}": 1}}}}', "a key of 512000"),
    "a long key that stands twice": (lambda: "{" + 2 * f'"{"k" * 200 * KIB}": 1,' + "}", "not JSON|stands twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_absurd_file_is_refused_at_once_and_in_short(name: str) -> None:
    text, words = HOSTILE[name]
    started = time.process_time()
    with pytest.raises(ContextFileError, match=words) as caught:
        loads(text())
    assert time.process_time() - started < 5
    assert len(str(caught.value)) < 1000
    assert len(repr(caught.value.value)) < 1000


def test_a_program_cannot_give_a_deep_nest_either() -> None:
    with pytest.raises(ContextFileError, match="nested"):
        from_mapping({"mode": nested(50_000)})


def test_a_nest_as_deep_as_any_file_has_is_within_the_bounds() -> None:
    assert bounds.excess({"records": nested(MAX_DEPTH - 1)}) is None
    assert bounds.excess({"records": nested(MAX_DEPTH + 1)}) is not None


def test_dots_in_a_text_are_no_key() -> None:
    """A leader of dots may stand in a description, if not 250 of them on a line."""
    assert "." * 200 == loads(f'preset = "pvh"\ndescription = "{"." * 200}"').description
