# SPDX-License-Identifier: MIT
"""A pytest plugin that sends each result over the status channel as it falls."""

import math
import os
import signal
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import pytest

from integration.lab.dom0.status import Status, shorten
from integration.limits import Limit

#: Seconds that one test may take; beyond them it failed.
LIMIT_VARIABLE = "XENVCPU_LAB_TEST_LIMIT"
DEFAULT_LIMIT = 300

#: What of a test's properties can be told.
_PLAIN = (str, int, float)

_status = Status.inherited()


class TestLimitError(Exception):
    """A test took too long."""

    __test__ = False


def _send(event: str, **fields: object) -> None:
    if _status is not None:
        _status.send(event, **fields)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tells how many tests there are."""
    _send("collected", count=len(session.items))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be read is an error, a file that skips itself a skip."""
    if report.failed:
        _send("test", nodeid=report.nodeid, outcome="error", seconds=0.0, detail=_detail(report))
    elif report.skipped:
        _send("test", nodeid=report.nodeid, outcome="skipped", seconds=0.0, detail=_reason(report))


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    """Tells which test begins, for the case that the host is lost in it."""
    _send("begin", nodeid=nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Bounds each test, so that one that hangs is a failed test and not a lost run."""
    marker = item.get_closest_marker("lab_limit")
    limit = Limit(int(marker.args[0] if marker else os.environ.get(LIMIT_VARIABLE, DEFAULT_LIMIT)))

    def expire(number: int, frame: object) -> None:
        left = limit.left
        if left:
            signal.alarm(math.ceil(left))
            return
        limit.reset(limit.seconds)  # its teardown is bounded as well
        signal.alarm(math.ceil(limit.seconds))
        raise TestLimitError(f"{item.nodeid} took over {limit.seconds:g} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(math.ceil(limit.seconds))
    try:
        yield
    finally:
        signal.alarm(0)


class _Verdict:
    """The outcome of one test, out of its three phases."""

    def __init__(self) -> None:
        self.outcome = "passed"
        self.detail = ""
        self.seconds = 0.0
        self.properties: List[Tuple[str, object]] = []

    def add(self, report: pytest.TestReport) -> None:
        self.seconds += report.duration
        if report.failed:
            self.outcome = "failed" if report.when == "call" else "error"
            self.detail += _detail(report)
        elif report.skipped:
            expected = hasattr(report, "wasxfail")
            self.outcome = "xfailed" if expected else "skipped"
            self.detail = report.wasxfail if expected else _reason(report)
        elif hasattr(report, "wasxfail") and report.when == "call":
            self.outcome = "xpassed"
        if report.when == "teardown":  # each report has all properties up to then
            self.properties = [(name, value) for name, value in report.user_properties if isinstance(value, _PLAIN)]


_open: Dict[str, _Verdict] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collects the phases of a test; the last one sends the verdict."""
    verdict = _open.setdefault(report.nodeid, _Verdict())
    verdict.add(report)
    if report.when == "teardown":
        del _open[report.nodeid]
        _send(
            "test",
            nodeid=report.nodeid,
            outcome=verdict.outcome,
            seconds=round(verdict.seconds, 3),
            detail=shorten(verdict.detail),
            properties=verdict.properties,
        )


_Report = Union[pytest.TestReport, pytest.CollectReport]


def _detail(report: _Report) -> str:
    parts: List[str] = [report.longreprtext]
    for title, text in report.sections:
        if text.strip():
            parts.append(f"--- {title}\n{text}")
    return "\n".join(parts)


def _reason(report: _Report) -> str:
    place: Optional[object] = report.longrepr
    if isinstance(place, tuple) and len(place) == 3:
        return str(place[2])
    return str(place)
