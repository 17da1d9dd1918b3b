# SPDX-License-Identifier: MIT
"""Integer expressions in `vcpuid`, as the values of a context file may be.

The grammar is integers, `vcpuid`, + - * // % << >> & | ^ ~ and parentheses: nothing in
it can name, call or grow anything. Length and magnitude are bounded.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable

from xenvcpu.errors import ContextError

MAX_LENGTH = 200
MAX_BITS = 128
"""An intermediate result of more bits than this is an error; so is a longer shift."""

VARIABLE = "vcpuid"
_NUMBER = r"0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*"
_LITERAL = re.compile(r"0[xX][0-9a-fA-F]+|0|[1-9][0-9]*")
PATTERN = rf"^((?:{_NUMBER})(?![0-9A-Za-z_])|{VARIABLE}(?![0-9A-Za-z_])|//|<<|>>|[-+*%&|^~()]|\s)+$"
"""What an expression is made of (its order is the parser's business); also in the JSON Schema.

One way only to match any text: with two, a text that does not match takes time without end."""

_TOKENS = re.compile(PATTERN)
_BINARY: Mapping[type, Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}
_UNARY: Mapping[type, Callable[[int], int]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Invert: operator.invert,
}


def _error(text: str, problem: str, remedy: str = "") -> ContextError:
    shown = text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "..."
    return ContextError(
        f"{shown!r} {problem}", value=shown, rule="expression",
        remedy=remedy or f"an expression has integers, {VARIABLE}, + - * // % << >> & | ^ ~ and parentheses",
    )


@dataclass(frozen=True)
class Expression:
    """An expression that names `vcpuid`.

    Attributes:
        text: As it was written.
        tree: Its syntax tree; only nodes of the grammar.
    """

    text: str
    tree: ast.expr

    def __call__(self, vcpuid: int) -> int:
        """The value for one vcpu.

        Raises:
            ContextError: A division by zero, a negative or long shift, or a huge intermediate result.
        """
        return self._value(self.tree, vcpuid)

    def _value(self, node: ast.AST, vcpuid: int) -> int:
        if isinstance(node, ast.Constant):
            result = int(node.value)  # type: ignore[arg-type]  # the tokens allow integers only
        elif isinstance(node, ast.Name):
            return vcpuid
        elif isinstance(node, ast.UnaryOp):
            result = _UNARY[type(node.op)](self._value(node.operand, vcpuid))
        else:
            assert isinstance(node, ast.BinOp)
            result = self._binary(node.op, self._value(node.left, vcpuid), self._value(node.right, vcpuid))
        if abs(result) >> MAX_BITS:
            raise _error(self.text, f"goes beyond {MAX_BITS} bits", "no step of it may")
        return result

    def _binary(self, op: ast.operator, left: int, right: int) -> int:
        if isinstance(op, (ast.LShift, ast.RShift)) and not 0 <= right <= MAX_BITS:
            raise _error(self.text, f"shifts by {right}", f"give 0 to {MAX_BITS}")
        if isinstance(op, (ast.FloorDiv, ast.Mod)) and right == 0:
            raise _error(self.text, "divides by zero", "give another divisor")
        return _BINARY[type(op)](left, right)


def _require_grammar(text: str, tree: ast.AST) -> bool:
    """Whether the expression names `vcpuid`; raises on a node that is not of the grammar."""
    is_variable = False
    for node in ast.walk(tree):
        is_operator = isinstance(node, ast.BinOp) and type(node.op) in _BINARY
        is_sign = isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY
        is_leaf = isinstance(node, (ast.Constant, ast.Name))
        is_variable |= isinstance(node, ast.Name)
        if isinstance(node, ast.expr) and not (is_operator or is_sign or is_leaf):
            raise _error(text, "uses an operator that is not allowed")
    return is_variable


def parse(value: object) -> int | Expression:
    """Read a value of a context file: an integer, or a string that is an expression.

    Returns:
        The integer, when the value is the same for every vcpu; else the expression.

    Raises:
        ContextError: Neither, or the expression is wrong.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ContextError(
            f"a value is an integer or a string expression, not {_kind(value)}", value=value, rule="type"
        )
    if len(value) > MAX_LENGTH:
        raise _error(value, f"is longer than {MAX_LENGTH} characters")
    return int(value, 0) if _LITERAL.fullmatch(value) else _parsed(value)


# Contexts that come by the thousand repeat a few expressions.
@lru_cache(maxsize=256)
def _parsed(value: str) -> int | Expression:
    if not _TOKENS.match(value):
        raise _error(value, "is not an integer expression")
    try:
        tree = ast.parse(value.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise _error(value, "cannot be read") from exc
    expression = Expression(value, tree)
    return expression if _require_grammar(value, tree) else expression(0)


def _kind(value: object) -> str:
    names = {bool: "a boolean", float: "a fraction", list: "an array", dict: "a table", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")
