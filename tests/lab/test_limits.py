# SPDX-License-Identifier: MIT
"""Limits count a host's time, which stands still while QEMU waits for a processor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from integration import hosttime, limits
from integration.hosttime import Page
from integration.lab.meter import PERIOD, Meter, make_page
from integration.limits import Limit, run

BUSY = "while True: pass"


class Clock:
    """A host's time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def told() -> List[Dict[str, object]]:
    return []


def limit(seconds: float, clock: Clock, told: List[Dict[str, object]]) -> Limit:
    return Limit(seconds, clock, lambda **fields: told.append(fields))


def test_a_limit_is_over_when_the_host_has_had_its_time(told: List[Dict[str, object]]) -> None:
    """Whatever the clock says."""
    clock = Clock()
    one = limit(10, clock, told)
    clock.seconds = 9.0
    assert not one.passed and one.left == 1.0
    clock.seconds = 10.0
    assert one.passed and told == []


def test_a_stretched_limit_is_told(told: List[Dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again while it is stretched further, each time by the same name; begun once more, by another."""
    clock, wall = Clock(), Clock()
    monkeypatch.setattr(limits.time, "monotonic", wall)
    one = limit(2, clock, told)
    for wall.seconds in (1.9, 2.1, 3.0, 3.1, 6.0):
        assert not one.passed
    assert [fields["clock"] for fields in told] == [3.0, 6.0]
    assert {fields["limit"] for fields in told} == {2}
    one.reset(2)
    wall.seconds = 20.0
    assert not one.passed
    assert len({fields["key"] for fields in told}) == 2
    clock.seconds = 2.0
    assert one.passed and len(told) == 3


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The page as a process on this side of an emulated host finds it."""
    path = make_page(tmp_path)
    monkeypatch.setenv(hosttime.VARIABLE, str(path))
    hosttime._page.cache_clear()
    yield Page(str(path), is_ours=True)
    hosttime._page.cache_clear()


def test_the_host_has_the_time_that_qemu_had(page: Page) -> None:
    """What QEMU has waited since is no time of the host's."""
    assert hosttime.is_known() and hosttime.waited() == 0.0
    began, clock = hosttime.now(), time.monotonic()
    page.write(100.0)
    assert hosttime.now() - began == pytest.approx(time.monotonic() - clock - 100.0, abs=0.1)


def test_a_page_that_nobody_writes_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that is not there: then the host's time is the clock's."""
    path = make_page(tmp_path)
    for name in (str(path), str(tmp_path / "nowhere")):
        monkeypatch.setenv(hosttime.VARIABLE, name)
        hosttime._page.cache_clear()
        assert not hosttime.is_known()
        assert hosttime.now() == pytest.approx(time.monotonic(), abs=0.1)
    hosttime._page.cache_clear()


def test_a_process_that_has_to_wait_for_a_processor_is_measured(tmp_path: Path) -> None:
    """Two that want the same processor get half of the time each; one that sleeps waits for none."""
    one = {min(os.sched_getaffinity(0))}
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    idle = subprocess.Popen(["sleep", "60"])
    try:
        for process in busy:
            os.sched_setaffinity(process.pid, one)
        meters = [Meter(process.pid, make_page(tmp_path)) for process in (busy[0], idle)]
        began, clock = [meter.now() for meter in meters], time.monotonic()
        time.sleep(1.5)
        for meter in meters:
            meter.close()
        passed = time.monotonic() - clock
        assert 0.1 * passed < meters[0].waited < passed
        assert meters[0].now() - began[0] < 0.8 * passed + 5 * PERIOD
        assert meters[1].waited < 0.5 * meters[0].waited
    finally:
        for process in (*busy, idle):
            process.kill()
            process.wait()


def test_a_program_gets_all_of_its_input_however_late_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds, though it is waited for again and again meanwhile."""
    monkeypatch.setattr(limits, "_TURN", 0.1)
    done = run(["sh", "-c", "sleep 0.5; cat"], 30, bytes(1 << 20), text=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, bytes(1 << 20), b"")


def test_what_a_program_prints_is_kept_and_a_limit_ends_it() -> None:
    """The limit is the one that it was given, however long each look takes."""
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run(["sh", "-c", "echo begun; exec sleep 60"], 0.3)
    assert (caught.value.timeout, caught.value.output) == (0.3, "begun\n")
