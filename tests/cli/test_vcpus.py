# SPDX-License-Identifier: MIT
"""VCPUS on the command line."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.cli import vcpus


def parse(text: str) -> tuple[int, ...] | None:
    command = click.Command("start")
    return vcpus.parse(click.Context(command), click.Argument(["which"]), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2", (2,)), ("1-3", (1, 2, 3)), ("5,1", (1, 5)), ("1-2, 2-4", (1, 2, 3, 4)), ("0", (0,)), ("all", None)],
)
def test_numbers_ranges_and_lists_are_understood(text: str, expected: tuple[int, ...] | None) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "3-1", "8192", "0-99999999999", "1.5", "\u0661", "All"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse(text)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_what_is_shown_is_understood_again(numbers: set[int]) -> None:
    assert tuple(sorted(numbers)) == parse(vcpus.show(numbers))
