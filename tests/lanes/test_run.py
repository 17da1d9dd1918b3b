# SPDX-License-Identifier: MIT
"""Lanes run stages at the same time, and none waits for what another one needs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Dict, List, Set

import pytest
from integration.evidence import processes
from tests.lanes.result import Result
from tests.lanes.run import Lanes
from tests.lanes.stage import Stage

A, B, C = (Stage(name) for name in "abc")


class Installing:
    """Packages of which some stages wait until told."""

    def __init__(self, *waiting: Stage) -> None:
        self.waiting: Set[Stage] = set(waiting)

    def are_ready(self, stage: Stage) -> bool:
        return stage not in self.waiting


def lanes(
    number: int, commands: Dict[Stage, str], packages: Installing, ended: List[str], told: List[str]
) -> Lanes:
    def end(result: Result) -> None:
        ended.append(result.stage.name)
        packages.waiting.clear()

    return Lanes(number, lambda stage: ["sh", "-c", commands[stage]], packages, end, told.append)  # type: ignore[arg-type]


def test_two_stages_run_at_the_same_time(folder: Path) -> None:
    """Each waits for the other's file."""
    meet = "touch {0}/{1}; for i in $(seq 100); do test -e {0}/{2} && exit 0; sleep 0.1; done; exit 1"
    commands = {A: meet.format(folder, "x", "y"), B: meet.format(folder, "y", "x")}
    assert [one.failed for one in lanes(2, commands, Installing(), [], []).run([A, B])] == [0, 0]


def test_no_more_run_than_there_are_lanes(folder: Path) -> None:
    alone = f"mkdir {folder}/busy && sleep 0.3 && rmdir {folder}/busy"
    assert [one.failed for one in lanes(1, {A: alone, B: alone}, Installing(), [], []).run([A, B])] == [0, 0]


def test_a_stage_that_waits_for_packages_holds_up_no_other(folder: Path) -> None:
    ended: List[str] = []
    lanes(1, {A: "true", B: "true", C: "true"}, Installing(A), ended, []).run([A, B, C])
    assert ended == ["b", "a", "c"]


def test_a_failed_stage_fails_and_the_others_go_on(folder: Path) -> None:
    found = lanes(1, {A: "exit 1", B: "true"}, Installing(), [], []).run([A, B])
    assert [(one.stage.name, one.failed) for one in found] == [("a", 1), ("b", 0)]


@pytest.mark.parametrize("printed, told", [
    ("....... [  7/129]\\n.....", "7/129 tests"), ("fetching QEMU (bookworm)\\n", "fetching QEMU (bookworm)"),
])
def test_the_progress_is_pytests_count_or_what_was_printed_last(folder: Path, printed: str, told: str) -> None:
    lines: List[str] = []
    lanes(1, {A: f"printf '{printed}'; sleep 0.5"}, Installing(), [], lines).run([A])
    assert any(line.startswith("a ") and line.endswith(told) for line in lines), lines


def test_an_interrupt_leaves_nothing_running(folder: Path) -> None:
    pid = folder / "pid"

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), 2)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        lanes(1, {A: f"sleep 60 & echo $! >{pid}; wait"}, Installing(), [], []).run([A])
    thread.join()
    assert processes.await_end([int(pid.read_text())], 10.0)
