# SPDX-License-Identifier: MIT
"""What a stage came to is read from its exit code, its report and its log."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lanes import result
from tests.lanes.conftest import LAB, UNIT

REPORT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="left"><skipped message="no libvirt here"/></testcase>
<testcase classname="a" name="left too"><skipped message="no libvirt here"/></testcase>
{}</testsuite></testsuites>"""
BAD = '<testcase classname="a" name="bad"><{}/></testcase>'


def read(folder: Path, code: int, report: str = "", log: str = "") -> result.Result:
    (folder / "log").write_text(log)
    if report:
        (folder / "report").write_text(report)
    return result.read(UNIT, 1.0, code, folder / "report", folder / "log")


def test_tests_are_counted_and_skips_by_their_reason(folder: Path) -> None:
    found = read(folder, 0, REPORT.format(""))
    assert (found.passed, found.failed, found.skips) == (1, 0, {"no libvirt here": 2})


def test_a_file_that_skips_itself_says_why(folder: Path) -> None:
    text = """('/t.py', 9, "Skipped: could not import 'libvirt'")"""
    case = f'<testcase classname="" name="t"><skipped message="collection skipped">{text}</skipped></testcase>'
    assert read(folder, 0, REPORT.format(case)).skips["Skipped: could not import 'libvirt'"] == 1


@pytest.mark.parametrize("kind", ["failure", "error"])
def test_a_failure_and_an_error_fail_the_stage(folder: Path, kind: str) -> None:
    assert read(folder, 1, REPORT.format(BAD.format(kind))).failed == 1


def test_a_bad_exit_code_without_a_failed_test_fails_the_stage(folder: Path) -> None:
    assert read(folder, 3, REPORT.format("")).failed == 1


def test_a_report_without_a_test_that_passed_fails_the_stage(folder: Path) -> None:
    assert read(folder, 0, "<testsuites/>").failed == 1


def test_a_stage_that_is_no_pytest_passes_or_fails_as_one(folder: Path) -> None:
    assert [(one.passed, one.failed) for one in (read(folder, 0), read(folder, 1))] == [(1, 0), (0, 1)]


def test_a_machine_that_cannot_is_no_failure_and_says_why(folder: Path) -> None:
    found = read(folder, 5, log="lab: this machine cannot: no apt\n  unit: FAIL code 5\n")
    assert (found.passed, found.failed, found.why_not) == (0, 0, "lab: this machine cannot: no apt")


def test_a_python_that_is_missing_is_no_failure(folder: Path) -> None:
    assert read(folder, 1, log="  unit: SKIP (1.69 seconds)\n").why_not == "no such Python on this machine"


def test_xen_was_booted_where_a_test_passed_on_it() -> None:
    passed = [result.Result(stage, 1.0, passed=number) for stage, number in ((LAB, 1), (LAB, 0), (UNIT, 1))]
    assert [one.has_booted_xen for one in passed] == [True, False, False]
