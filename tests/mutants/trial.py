# SPDX-License-Identifier: MIT
"""One mutant at a time, before the tests that may notice it.

A process collects the tests once, and forks for each mutant, which is swapped in where the functions are. What that
cannot show, since it happens at import, is tried by a fork that collects them itself. In both the mutant is in the file
too, so that a guard, which is a process of its own, runs it.
"""

from __future__ import annotations

import enum
import functools
import json
import os
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

import hypothesis.strategies  # noqa: F401 (loaded once for all forks)
import pytest

from tests.mutants.forks import forked
from tests.mutants.live import Swap, swaps
from tests.mutants.mutations import Mutant
from tests.mutants.reach import LONGEST, OPTIONS, Order, Reach

SLACK, TIMES = 15.0, 4.0
"""A mutant may take so many seconds, and as many times what its tests take without it."""


class Outcome(enum.Enum):
    """How a mutant fared."""

    KILLED = "killed"
    ENDLESS = "killed by the time limit"
    SURVIVED = "survived"


Note = Callable[[Mutant, Outcome], None]


class _Chosen:
    """Runs these tests only, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._tests = tests

    def pytest_collection_modifyitems(self, items: List[pytest.Item]) -> None:
        by_name = {each.nodeid: each for each in items}
        items[:] = [by_name[test] for test in self._tests if test in by_name]


class _Loop:
    """In place of the run of the tests: a fork for each mutant, which runs some of them."""

    def __init__(self, trials: Trials, mutants: Sequence[Mutant], done: Path) -> None:
        self._trials, self._mutants, self._done = trials, mutants, done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        print(report.longreprtext, end="", flush=True)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {each.nodeid: each for each in session.items}
        trials = self._trials

        def run(tests: Sequence[str]) -> int:
            chosen = [items[test] for test in tests]
            for item, following in zip(chosen, [*chosen[1:], None]):
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.shouldfail:
                    print(f"\n{item.nodeid} fails", flush=True)
                    return 1
            return 0

        def changed(found: Sequence[Swap], tests: Sequence[str]) -> int:
            for function, code in found:
                function.__code__ = code
            return run(tests)

        every = sorted(trials.reach.seconds, key=trials.reach.seconds.__getitem__)
        # A test with a deadline may fail once on a machine that has much else to do.
        if not any(forked(trials.root, lambda: run(every), LONGEST) == 0 for _ in range(3)):
            pytest.exit("the tests fail in this order, without a mutant", 1)
        with self._done.open("w") as file:
            for number, mutant in enumerate(self._mutants):
                order, original = trials.order(mutant), trials.text(mutant)
                module = mutant.module[: -len(".py")].replace("/", ".")
                found = swaps(trials.root / mutant.module, module, original, mutant.text)
                if found is not None:
                    outcome = trials.outcome(mutant, order, functools.partial(changed, found, order.tests))
                    print(json.dumps([number, outcome.name, order.at_import]), file=file, flush=True)
        return True


class Trials(NamedTuple):
    """The trials of one target.

    Attributes:
        root: The copy of the checkout.
        tests: Files or folders of tests.
        reach: What they do without a mutant.
        texts: The modules as they are.
    """

    root: Path
    tests: Sequence[str]
    reach: Reach
    texts: Dict[str, str]

    def text(self, mutant: Mutant) -> str:
        """The module without the mutant."""
        return self.texts[mutant.module]

    def order(self, mutant: Mutant) -> Order:
        """The tests for a mutant."""
        return self.reach.order(mutant, self.text(mutant))

    def run(self, mutants: Sequence[Mutant], note: Note) -> None:
        """Try mutants, in two passes."""
        done = self.root / "done.jsonl"
        loop = _Loop(self, mutants, done)
        code = forked(self.root, lambda: pytest.main([*OPTIONS, *self.tests], plugins=[loop]), 24 * LONGEST)
        if code != 0:
            raise RuntimeError(f"no mutant can be tried:\n{(self.root / 'output').read_text()[-4000:]}")
        left = dict(enumerate(mutants))
        for line in done.read_text().splitlines() if done.exists() else ():
            number, name, at_import = json.loads(line)
            if Outcome[name] is not Outcome.SURVIVED or not at_import:
                note(left.pop(number), Outcome[name])
        for mutant in left.values():
            order = self.order(mutant)
            files = sorted({test.partition("::")[0] for test in order.tests})
            work = functools.partial(pytest.main, [*OPTIONS, *files], [_Chosen(order.tests)])
            note(mutant, self.outcome(mutant, order, work))

    def outcome(self, mutant: Mutant, order: Order, work: Callable[[], int]) -> Outcome:
        """What comes of tests, with the mutant in its file."""
        path = self.root / mutant.module
        path.write_text(mutant.text)
        # A cached module counts as current while its source has the same size and time, in seconds.
        os.utime(path, (0, hash(mutant.name) % (1 << 31)))
        try:
            limit = SLACK + TIMES * sum(self.reach.seconds[test] for test in order.tests)
            code = forked(self.root, work, limit)
        finally:
            path.write_text(self.text(mutant))
        if code is None:
            return Outcome.ENDLESS
        return Outcome.SURVIVED if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else Outcome.KILLED
