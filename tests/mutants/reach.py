# SPDX-License-Identifier: MIT
"""Which tests run which lines, and how long each takes: a mutant is tried on those that run its lines."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set

import coverage
import pytest

from tests.mutants.forks import forked
from tests.mutants.mutations import Mutant

OPTIONS = (
    "-q", "-x", "-p", "no:cacheprovider", "-p", "tests.mutants.unshrunk",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)
LONGEST = 3600.0


class Order(NamedTuple):
    """The tests for one mutant.

    Attributes:
        tests: In the order in which they are tried.
        at_import: Whether an import, or the collection of the tests, runs the lines too.
    """

    tests: List[str]
    at_import: bool


class Reach(NamedTuple):
    """What the tests do without a mutant.

    Attributes:
        seconds: How long each test takes.
        lines: The tests that ran a line, by module and line; "" stands for the import.
    """

    seconds: Dict[str, float]
    lines: Dict[str, Dict[int, Set[str]]]

    def order(self, mutant: Mutant, text: str) -> Order:
        """The tests that run the changed lines, quick ones first; where an import does, all others behind them."""
        lines = self.lines[mutant.module]
        reached: Set[str] = set().union(*(lines.get(line, ()) for line in mutant.lines))
        if not reached:
            reached = set().union(*(lines.get(line, ()) for line in _statement(text, mutant.lines)))
        first = reached - {""}
        ordered = sorted(self.seconds, key=lambda test: (test not in first, self.seconds[test]))
        if first and "" not in reached:
            return Order(ordered[: len(first)], False)
        return Order(ordered, True)


class _Watch:
    """Notes how long each test takes, and which lines it runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: Dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._measured.switch_context(item.nodeid)
        result = yield
        self._measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration


def reach(root: Path, modules: Sequence[str], tests: Sequence[str]) -> Reach:
    """Run the tests as they are.

    Raises:
        RuntimeError: They fail.
    """
    notes = root / "reach.json"

    def watched() -> int:
        measured = coverage.Coverage(data_file=None, include=[str(root / module) for module in modules])
        measured.start()
        watch = _Watch(measured)
        code = pytest.main([*OPTIONS, *tests], plugins=[watch])
        measured.stop()
        data = measured.get_data()
        notes.write_text(json.dumps([watch.seconds, [data.contexts_by_lineno(str(root / each)) for each in modules]]))
        return int(code)

    if forked(root, watched, LONGEST) != 0:
        raise RuntimeError(f"{' '.join(tests)}: fail as they are:\n{(root / 'output').read_text()[-2000:]}")
    seconds, found = json.loads(notes.read_text())
    lines = [{int(line): set(tests) for line, tests in each.items()} for each in found]
    return Reach(seconds, dict(zip(modules, lines)))


def _statement(text: str, lines: range) -> range:
    """The lines of the smallest statement around; of one with a body, those before that."""
    around = [
        node for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and node.lineno <= lines.start and (node.end_lineno or 0) >= lines.stop - 1
    ]
    if not around:
        return lines
    node = min(around, key=lambda each: (each.end_lineno or 0) - each.lineno)
    body = getattr(node, "body", None)
    return range(node.lineno, body[0].lineno if body else (node.end_lineno or 0) + 1)
