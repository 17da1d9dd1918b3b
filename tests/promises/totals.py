# SPDX-License-Identifier: MIT
"""What all tests of promises counted, added up where their reports come together, and held against `counts.json`.

A pytest plugin. After a change of the suites, or of the calls that an operation makes:

    XENVCPU_COUNTS=write pytest tests/promises
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest
from integration import promises as counting

Sums = Dict[str, Dict[str, int]]
"""By suite; `tests` is how many tests counted for it."""

KINDS = {"faults": "faults", "pairs": "faults", "answers": "faults", "kills": "exceptions", "SIGKILLs": "SIGKILLs"}
"""What the unit of a suite counts as in the sums of all suites. `kills` are exceptions that end a thread."""
WRITE = "XENVCPU_COUNTS"
FILE = "counts.json"
_NARROWING = ("keyword", "markexpr", "deselect", "ignore_glob", "lf", "stepwise", "collectonly")


def promised(folder: Path) -> Sums:
    """What a run of all tests of a folder counts."""
    found: Sums = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return found


def is_whole(config: pytest.Config, folder: Path) -> bool:
    """Whether all tests of a folder were asked for."""
    if any(config.getoption(name, None) for name in _NARROWING):
        return False
    asked, ignored = (
        [Path(str(config.invocation_params.dir), path).resolve() for path in paths]
        for paths in (config.args, config.getoption("ignore") or ())
    )
    is_part = any(path in (folder, *folder.parents) or folder in path.parents for path in ignored)
    return not is_part and any(path in (folder, *folder.parents) for path in asked)


class Totals:
    """The counts of one run, on the process that the others report to."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._counts: List[counting.Count] = []
        self._tests: Dict[str, Set[str]] = {}
        self._wrong: List[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test counted."""
        if report.when == "call":
            for name, value in report.user_properties:
                count = counting.from_property(name, value)
                if count is not None:
                    self._counts.append(count)
                    self._tests.setdefault(count[0], set()).add(report.nodeid)

    def sums(self) -> Sums:
        """What does not depend on the moment: a SIGKILL may come before or after the change is done."""
        found: Sums = {suite: {"tests": len(self._tests[suite])} for suite in sorted(self._tests)}
        for suite, what, number in self._counts:
            if what in ("lost", *KINDS):
                found[suite][what] = found[suite].get(what, 0) + number
        return found

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run of all tests that did not count what is promised."""
        if session.exitstatus != pytest.ExitCode.OK or not is_whole(self._config, self._folder):
            return
        sums = self.sums()
        if os.environ.get(WRITE) == "write":
            (self._folder / FILE).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
        asked = promised(self._folder)
        self._wrong = [
            f"{suite}: counted {sums.get(suite)}, and {FILE} says {asked.get(suite)}"
            for suite in sorted({*sums, *asked}) if sums.get(suite) != asked.get(suite)
        ]
        if self._wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _in_all(self, suite: str, what: str, number: int) -> counting.Count:
        """A count of a suite as one of all suites of its kind."""
        kind = next(KINDS[unit] for name, unit, _ in self._counts if name == suite and unit in KINDS)
        return f"all {kind}", KINDS.get(what, what), number

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the counts, a line for each suite."""
        if not self._counts and not self._wrong:
            return
        terminalreporter.section("promises")
        for line in counting.lines([*self._counts, *(self._in_all(*count) for count in self._counts)]):
            terminalreporter.write_line(line)
        for line in self._wrong:
            terminalreporter.write_line(f"FAILED {line}", red=True)


def register(config: pytest.Config, folder: Path) -> None:
    """Have a run's tests of a folder counted; a worker of pytest-xdist leaves that to the process that started it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Totals(config, folder))
