# SPDX-License-Identifier: MIT
"""The last lines of a run say what ran, what did not, and how to run it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.lanes.closing import failure, line, skips, summary
from tests.lanes.conftest import LAB, UNIT, came
from tests.lanes.stage import Stage

KNOWN = {"lab": LAB, "unit": UNIT, "fuzz": Stage("fuzz", "hostile bytes")}


def test_a_stage_has_a_line_with_its_time_and_counts() -> None:
    assert line(came(UNIT, passed=3, failed=1, skips=Counter(why=2))).split() == (
        "unit 1 s FAILED 3 passed, 1 failed, 2 skipped".split()
    )


def test_the_sum_is_the_last_line() -> None:
    closing = summary([came(LAB, passed=2), came(UNIT, passed=3, skips=Counter(why=1))], KNOWN, "", 5.0)
    assert closing.splitlines()[-1] == "5 passed, 0 failed, 1 skipped"


def test_skips_are_told_by_reason_with_the_command_that_runs_them() -> None:
    told = skips([came(UNIT, passed=1, skips=Counter({"no libvirt": 7}))])
    assert "7  unit: no libvirt" in told and "again: make unit" in told


def test_a_stage_that_did_not_run_is_named_with_its_command() -> None:
    told = summary([came(LAB, passed=1)], KNOWN, "", 5.0)
    assert "make fuzz         hostile bytes" in told and "make lab " not in told


def test_a_run_with_a_real_xen_has_no_warning() -> None:
    assert "NO REAL XEN" not in summary([came(LAB, passed=1)], KNOWN, "", 5.0)


@pytest.mark.parametrize("results, why", [
    ([came(UNIT, passed=1)], "no stage of this run boots one"),
    ([came(LAB, why_not="lab: this machine cannot: no apt")], "lab: this machine cannot: no apt"),
    ([came(LAB, failed=1)], "its tests failed"),
])
def test_a_run_without_a_real_xen_says_so_and_why(results: list, why: str) -> None:  # type: ignore[type-arg]
    told = summary(results, KNOWN, "", 5.0)
    assert "NO REAL XEN WAS BOOTED" in told and why in told


def test_without_a_real_xen_the_run_fails_where_one_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENVCPU_REQUIRE_LAB", "1")
    told = summary([came(LAB, why_not="no apt"), came(UNIT, passed=1)], KNOWN, "", 5.0)
    assert "this run has failed" in told and told.endswith("1 passed, 1 failed, 0 skipped")


def test_a_failure_shows_the_end_of_its_log(folder: Path) -> None:
    (folder / "unit.log").write_text("\n".join(f"line {number}" for number in range(100)))
    told = failure(came(UNIT, failed=1))
    assert "line 99" in told and "line 39" not in told and "[... 40 lines before]" in told
