# SPDX-License-Identifier: MIT
"""Expressions in `vcpuid`: what they compute, and what they refuse."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.contextfile import expression
from xenvcpu.contextfile.expression import Expression
from xenvcpu.errors import ContextError


def value(text: object, vcpuid: int = 0) -> int:
    parsed = expression.parse(text)
    return parsed(vcpuid) if isinstance(parsed, Expression) else parsed


@pytest.mark.parametrize(
    ("text", "vcpuid", "expected"),
    [
        ("0x80000 + 0x1000 * vcpuid", 3, 0x83000),
        ("~0 & 0xff", 0, 0xFF),
        ("(vcpuid << 4) | 1", 2, 0x21),
        ("vcpuid // 2 % 3 ^ 1", 9, 0),
        ("-1 + 2", 0, 1),
        ("1 << 64 >> 60", 0, 16),
        (" 0b101 ", 0, 5),
        ("1_000", 0, 1000),
        (7, 0, 7),
    ],
)
def test_an_expression_has_the_value_that_python_gives_it(text: object, vcpuid: int, expected: int) -> None:
    assert expected == value(text, vcpuid)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "vcpu", "vcpuid.real", "vcpuid()", "[1]", "1 if vcpuid else 2", "1.5", "1e3", "2 ** 8",
        "1 / 2", "vcpuid and 1", "1 < 2", "", "  ", "1 +", "007", "0x", "1 2", "vcpuid := 1", "lambda: 1", "1j", "1;2",
        "1\\\n+1",
    ],
)
def test_what_is_not_of_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ContextError) as caught:
        value(text)
    assert caught.value.rule == "expression"


@pytest.mark.parametrize("given_value", [True, 1.0, None, [1], {"a": 1}])
def test_a_value_that_is_neither_integer_nor_string_is_refused(given_value: object) -> None:
    with pytest.raises(ContextError) as caught:
        expression.parse(given_value)
    assert caught.value.rule == "type"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("vcpuid // 0", "divides by zero"), ("vcpuid % 0", "divides by zero"),
        ("1 << 129", "shifts by 129: give 0 to 128"),
        ("1 >> -1", "shifts by"), ("0x10000000000000000 * 0x10000000000000000", "beyond 128 bits"),
        ("1" * 201, "longer than"),
    ],
)
def test_what_grows_or_divides_by_zero_is_refused_when_computed(text: str, problem: str) -> None:
    with pytest.raises(ContextError, match=problem):
        value(text)


def test_deep_nesting_is_refused_or_computed_but_never_crashes() -> None:
    for text in ("(" * 99 + "1" + ")" * 99, "~" * 199 + "1", "-" * 150 + "vcpuid", "1+" * 99 + "1"):
        assert isinstance(value(text), int)


def test_an_expression_without_vcpuid_is_a_plain_integer() -> None:
    assert 0x1010 == expression.parse("0x1000 + 0x10")


@given(st.text(alphabet="0123456789abcdefxvcpuid+-*/%<>&|^~() _", max_size=40))
def test_any_text_gives_an_integer_or_a_context_error(text: str) -> None:
    try:
        assert isinstance(value(text, 1), int)
    except ContextError as error:
        assert error.rule == "expression"


@pytest.mark.parametrize("text", [" " * 199 + "x", "1" + " " * 198 + "x", "1" * 199 + "x", "+" * 199 + "."])
def test_a_long_text_is_refused_at_once(text: str) -> None:
    """The pattern of tokens once tried every way to part a run of spaces."""
    started = time.process_time()
    with pytest.raises(ContextError):
        expression.parse(text)
    assert time.process_time() - started < 1
