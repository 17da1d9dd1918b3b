# SPDX-License-Identifier: MIT
"""The mutants of a module: each is the module's text with one thing changed.

The operators on single nodes are mutmut's; of the two that it lacks, a statement that is left out and a condition that
is negated, guards against damage consist. Not mutated, for a change there says nothing about what is done to a guest:

- text, docstrings, annotations, decorators, `assert`, `__repr__`, and what is handed to an exception that is raised;
- floats, which are durations here;
- a `False` that is returned, into None: no caller tells the two apart. It becomes True.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type

import libcst as cst
from libcst import matchers as m
from mutmut.mutation import mutators

Name = Tuple[str, str, str, str]
Operator = Callable[[Any], Iterable[cst.CSTNode]]


class Mutant(NamedTuple):
    """One mutant.

    Attributes:
        module: The path of the module.
        function: The function or class that it is in, with those around it; empty at the top of the module.
        before: The lines that differ, without indentation.
        after: Those that replace them.
        lines: Their numbers, from 1.
        text: The whole module.
    """

    module: str
    function: str
    before: str
    after: str
    lines: range
    text: str

    @property
    def name(self) -> Name:
        """What stays the same while other lines are edited."""
        return self.module, self.function, self.before, self.after

    @property
    def diff(self) -> str:
        """How it differs, for a person."""
        shown = [f"{self.module}:{self.lines.start} in {self.function or 'the module'}"]
        shown += [f"  - {line}" for line in self.before.splitlines()]
        return "\n".join(shown + [f"  + {line}" for line in self.after.splitlines()])


_CHANGES = (
    m.Expr(m.Call()) | m.Raise() | m.AugAssign() | m.Del() | m.Assign([m.AssignTarget(m.Attribute() | m.Subscript())])
)
_SAME_AS_NONE = m.Return(value=None) | m.Return(value=m.Name("False"))
_SWAPPED = m.Is() | m.IsNot() | m.In() | m.NotIn() | m.Equal() | m.NotEqual()
_NEGATED_ELSEWHERE = m.UnaryOperation(m.Not()) | m.Comparison(comparisons=[m.ComparisonTarget(_SWAPPED)])


def _left_out(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    """A call, a change of an attribute or of an item, a value returned, an exception raised: left out."""
    for number, statement in enumerate(node.body):
        if m.matches(statement, _CHANGES):
            yield node.with_changes(body=[*node.body[:number], cst.Pass(), *node.body[number + 1 :]])
        elif isinstance(statement, cst.Return) and not m.matches(statement, _SAME_AS_NONE):
            nothing = statement.with_changes(value=cst.Name("None"))
            yield node.with_changes(body=[*node.body[:number], nothing, *node.body[number + 1 :]])


def _negated(node: Any) -> Iterator[cst.CSTNode]:
    """The condition of an `if`, a `while`, an `x if y else z` or a comprehension."""
    if m.matches(node.test, _NEGATED_ELSEWHERE):
        return
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    space = cst.SimpleWhitespace(" ")
    around = {
        name: space for name in ("whitespace_before_test", "whitespace_after_if", "whitespace_after_while")
        if hasattr(node, name)
    }
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test), **around)


def _dropped(node: cst.Call) -> Iterator[cst.CSTNode]:
    """The last positional argument, or a keyword's, left out where there are several; a text is none of them."""
    last = next((arg for arg in reversed(node.args) if arg.keyword is None and not arg.star), None)
    for number, arg in enumerate(node.args):
        is_text = isinstance(arg.value, (cst.BaseString, cst.FormattedString))
        if len(node.args) > 1 and not is_text and (arg.keyword is not None or arg is last):
            yield node.with_changes(args=[*node.args[:number], *node.args[number + 1 :]])


OPERATORS: Tuple[Tuple[Type[cst.CSTNode], Operator], ...] = (
    (cst.SimpleStatementLine, _left_out),
    (cst.If, _negated),
    (cst.While, _negated),
    (cst.IfExp, _negated),
    (cst.CompIf, _negated),
    (cst.Integer, mutators.operator_number),
    (cst.Name, mutators.operator_name),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, _dropped),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
)
_SKIPPED = (cst.Annotation, cst.Decorator, cst.FormattedString, cst.Assert, cst.Import, cst.ImportFrom)


class _Collector(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: List[Tuple[str, cst.CSTNode, cst.CSTNode]] = []
        self._inside: List[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _SKIPPED):
            return False
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.append(node.name.value)
            if node.name.value == "__repr__":
                return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                self.found += ((".".join(self._inside), node, mutated) for mutated in operator(node))
        return not isinstance(node, cst.Raise)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.pop()


def mutants(module: str, text: str, sample: Optional[int] = None, seed: int = 0) -> List[Mutant]:
    """The mutants of a module in its order: all, or as many as asked for, chosen by a seed."""
    tree = cst.parse_module(text)
    found = []
    for at, statement in enumerate(tree.body):
        collector = _Collector()
        statement.visit(collector)
        found += [(at, *each) for each in collector.found]
    if sample is not None and sample < len(found):
        chosen = sorted(random.Random(f"{seed} {module}").sample(range(len(found)), sample))
        found = [found[number] for number in chosen]
    if not found:
        return []
    # Only the statement at the top that holds the node is printed again: modules are long, and mutants many.
    parts = [tree.code_for_node(statement) for statement in tree.body]
    head, _, foot = text.partition("".join(parts))
    made: Dict[Name, Mutant] = {}
    for at, function, node, mutated in found:
        changed = tree.body[at].deep_replace(node, mutated)
        assert isinstance(changed, cst.CSTNode)
        code = "".join([head, *parts[:at], tree.code_for_node(changed), *parts[at + 1 :], foot])
        if code != text:
            one = _mutant(module, function, text, code)
            made.setdefault(one.name, one)
    return list(made.values())


def _mutant(module: str, function: str, text: str, changed: str) -> Mutant:
    old, new = text.splitlines(), changed.splitlines()
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    lines = range(start + 1, start + 1 + len(before))
    return Mutant(module, function, *("\n".join(map(str.strip, each)) for each in (before, after)), lines, changed)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are the same at the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
