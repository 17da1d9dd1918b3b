# SPDX-License-Identifier: MIT
"""What a stage came to: pytest's own counts where it ran pytest, its exit code elsewhere."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as xml
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Counter as Counts

from tests.lanes.stage import Stage

CANNOT = 5
"""The exit code of `integration.lab`, `tests/fuzz` and `packaging/deb.sh` for "this host cannot"."""

_WHOLE_FILE = "collection skipped"


@dataclass
class Result:
    """What one stage came to.

    Attributes:
        stage: Which.
        seconds: How long it took.
        passed: Tests that passed; 1 for a stage that is no pytest and succeeded.
        failed: Tests that failed; at least 1 if the stage ended badly.
        skips: Why tests were skipped, and how many for each reason.
        why_not: Why the stage could not run at all; empty if it ran.
    """

    stage: Stage
    seconds: float
    passed: int = 0
    failed: int = 0
    skips: Counts[str] = field(default_factory=Counter)
    why_not: str = ""

    @property
    def skipped(self) -> int:
        """How many tests were skipped."""
        return sum(self.skips.values())

    @property
    def has_booted_xen(self) -> bool:
        """Whether a test passed on a real Xen."""
        return self.stage.emulates and self.passed > 0


def read(stage: Stage, seconds: float, code: int, report: Path, log: Path) -> Result:
    """The result of a stage that has ended.

    A bad exit code without a failed test is a failure, and so is a report without any test.

    Args:
        stage: Which.
        seconds: How long it took.
        code: Its exit code.
        report: Its JUnit XML, where it leaves one.
        log: What it printed.
    """
    result = Result(stage, seconds, why_not=_why_not(stage, code, log))
    if result.why_not:
        return result
    if report.exists():
        _count(report, result)
    else:
        result.passed = int(code == 0)
    if not result.failed and (code != 0 or not result.passed):
        result.failed = 1
    return result


def _count(report: Path, result: Result) -> None:
    for case in xml.parse(report).getroot().iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            result.skips[_reason(skip)] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        else:
            result.passed += 1


def _reason(skip: xml.Element) -> str:
    """Why a test was skipped; of a file that skips itself, pytest has the reason in a tuple: path, line, reason."""
    message = str(skip.get("message"))
    if message == _WHOLE_FILE and skip.text:
        message = str(ast.literal_eval(skip.text)[2])
    return message.splitlines()[0]


def _why_not(stage: Stage, code: int, log: Path) -> str:
    """Why a stage could not run here: a Python that is missing, or the words of the program that refused."""
    if code == 0:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.strip().startswith(f"{stage.name}: SKIP") for line in lines):
        return "no such Python on this machine"
    if code != CANNOT:
        return ""
    spoken = [line.strip() for line in lines if "cannot" in line]
    return spoken[-1] if spoken else f"this machine cannot; see {log}"
