# SPDX-License-Identifier: MIT
"""The values of a context file: integers and hex strings, read and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from xenvcpu.contextfile import expression
from xenvcpu.contextfile.expression import Expression
from xenvcpu.contextfile.source import Source
from xenvcpu.errors import ContextError

_WORD = 32
Value = Union[int, Expression]


@dataclass(frozen=True)
class Number:
    """One integer of a file, with what is needed to judge it.

    Attributes:
        key: Its key.
        value: The integer, or the expression that gives it.
        bits: The width of the C field.
    """

    key: str
    value: Value
    bits: int

    def at(self, source: Source, vcpuid: int) -> int:
        """The integer for one vcpu.

        Raises:
            ContextFileError: The expression fails, or its value does not fit.
        """
        if isinstance(self.value, int):
            return self.value
        try:
            result = self.value(vcpuid)
        except ContextError as exc:
            raise source.error(self.key, str(exc), value=exc.value, rule=exc.rule) from exc
        return self.checked(source, result, f" ({self.value.text!r} for vcpu {vcpuid})")

    def checked(self, source: Source, value: int, how: str = "") -> int:
        """The value, if it fits.

        Raises:
            ContextFileError: It does not.
        """
        if not 0 <= value < 1 << self.bits:
            raise source.error(
                self.key, f"{value:#x}{how} does not fit {self.bits} bits", value=value, rule="range",
                remedy=f"give a value from 0 to {(1 << self.bits) - 1:#x}",
            )
        return value


def read_number(source: Source, key: str, value: object, bits: int) -> Number:
    """Read an integer or an expression; an integer is checked at once.

    Raises:
        ContextFileError: Neither, or it does not fit.
    """
    try:
        number = Number(key, expression.parse(value), bits)
    except ContextError as exc:
        raise source.error(key, str(exc), value=exc.value, rule=exc.rule) from exc
    if isinstance(number.value, int):
        number.checked(source, number.value)
    return number


def hex_bytes(source: Source, key: str, value: object, size: int | None = None) -> bytes:
    """Bytes that a file gives in hex.

    Raises:
        ContextFileError: Not hex, or not `size` bytes.
    """
    try:
        data = bytes.fromhex(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise source.error(key, "must be a string of hex digits", value=value, rule="type") from exc
    if size is not None and len(data) != size:
        problem = f"is {size} bytes ({2 * size} hex digits), got {len(data)}"
        raise source.error(key, problem, value=len(data), rule="range")
    return data


def constant(source: Source, key: str, default: int | None, bits: int = _WORD) -> int:
    """An integer of a file that is the same for every vcpu.

    Raises:
        ContextFileError: Not an integer of that many bits, or it names `vcpuid`.
    """
    if key not in source.data and default is None:
        raise source.error(key, "is missing", rule="missing")
    value = read_number(source, key, source.data.get(key, default), bits).value
    if not isinstance(value, int):
        raise source.error(key, "cannot depend on vcpuid", value=value.text, rule="type")
    return value
