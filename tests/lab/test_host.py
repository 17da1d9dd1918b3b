# SPDX-License-Identifier: MIT
"""A lost host and a finished job are told apart; a stand-in plays QEMU."""

import json
import os
import time
from pathlib import Path
from typing import Callable, List

import pytest

from integration.lab.errors import LostHostError
from integration.lab.host import EmulatedHost, Limits
from integration.lab.outcome import closing_line
from integration.lab.qemu import Machine
from integration.lab.runner import Runner

Program = Callable[[str, str], Path]

#: Plays a script: strings go to the console, lists sleep, objects are events.
PLAYER = """
import io, json, os, sys, tarfile, time
def option(start):
    word = next(a for a in sys.argv if a.startswith(start))
    return word.split("path=")[1]
open(os.environ["FAKE_PIDS"], "a").write(f"{os.getpid()}\\n")
attempt = len(open(os.environ["FAKE_PIDS"]).readlines()) - 1
plays = json.load(open(os.environ["FAKE_PLAYS"]))
for step in plays[min(attempt, len(plays) - 1)]:
    if isinstance(step, str):
        open(option("file,id=console"), "a").write(step + "\\n")
    elif isinstance(step, list):
        time.sleep(step[0])
    else:
        if step.get("event") == "done":
            with tarfile.open(option("file,id=results"), "w") as tar:
                info = tarfile.TarInfo("./junit.xml"); info.size = 4
                tar.addfile(info, io.BytesIO(b"<x/>"))
                info = tarfile.TarInfo("../evil"); info.size = 4
                tar.addfile(info, io.BytesIO(b"evil"))
            step["bytes"] = os.path.getsize(option("file,id=results"))
        os.write(1, json.dumps(step).encode() + b"\\n")
"""

QEMU = "qemu-stand-in"
MACHINE = Machine((QEMU,), Path("xen"), Path("kernel"), Path("initrd"))
COUNTED = [["promise:t:tries", 3], ["x", 1]]
PASSED = {"event": "test", "nodeid": "t::a", "outcome": "passed", "seconds": 0.1, "properties": COUNTED}
FAILED = {"event": "test", "nodeid": "t::b", "outcome": "failed", "seconds": 0.1, "detail": "why"}
GUEST = {"event": "guest", "name": "tiny-1", "text": "one\ntwo\n"}
DONE = {"event": "done", "status": 1}


class Stage:
    """Sets what the stand-in plays, and tells which processes it had."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._plays = directory / "plays"
        self._pids = directory / "pids"
        monkeypatch.setenv("FAKE_PLAYS", str(self._plays))
        monkeypatch.setenv("FAKE_PIDS", str(self._pids))

    def play(self, *plays: List[object]) -> None:
        self._plays.write_text(json.dumps(plays))

    def pids(self) -> List[int]:
        return [int(line) for line in self._pids.read_text().split()]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program) -> Stage:
    """Puts the stand-in on the PATH."""
    program(QEMU, PLAYER)
    return Stage(tmp_path, monkeypatch)


WIDE = Limits()


def kinds(tmp_path: Path, limits: Limits = WIDE) -> List[str]:
    """Boots and returns the kinds of all events."""
    with EmulatedHost(MACHINE, tmp_path, limits) as host:
        return [event.kind for event in host.events()]


def test_a_job_runs_to_its_end(tmp_path: Path, stage: Stage) -> None:
    """Events come in order, results are unpacked below the target only, QEMU is gone."""
    stage.play(["Xen", {"event": "ready"}, PASSED, DONE, [60]])
    with EmulatedHost(MACHINE, tmp_path, Limits()) as host:
        assert [event.kind for event in host.events()] == ["ready", "test", "done"]
        target = tmp_path / "results" / "deep"
        assert host.unpack_results(target) == [target / "junit.xml"]
    assert not (tmp_path / "results/evil").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(stage.pids()[0], 0)


def test_qemu_that_ends_is_a_lost_host(tmp_path: Path, stage: Stage) -> None:
    """The last lines of Xen, dom0 and the guests are attached."""
    stage.play(["(XEN) Panic on CPU 0", "", {"event": "ready"}, GUEST])
    with pytest.raises(LostHostError, match="ended by itself with status 0") as caught:
        kinds(tmp_path)
    assert caught.value.console == ("(XEN) Panic on CPU 0",)
    assert caught.value.guests == {"tiny-1": ("one", "two")}
    assert "last lines of guest tiny-1" in caught.value.report()


def test_a_silent_boot_is_a_lost_host(tmp_path: Path, stage: Stage) -> None:
    """A dom0 that never speaks is given up after the boot limit."""
    stage.play([[60]])
    with pytest.raises(LostHostError, match="did not come up within 0.5 s"):
        kinds(tmp_path, Limits(boot=0.5))


def test_silence_is_a_lost_host(tmp_path: Path, stage: Stage) -> None:
    """A dom0 that stops speaking is given up after the limit of silence."""
    stage.play([{"event": "ready"}, [60]])
    with pytest.raises(LostHostError, match="no sign of life for 0.5 s"):
        kinds(tmp_path, Limits(silence=0.5))


def test_the_whole_run_is_bounded(tmp_path: Path, stage: Stage) -> None:
    """Signs of life do not prolong a run beyond its limit."""
    stage.play([{"event": "ready"}, *[step for _ in range(60) for step in ({"event": "alive"}, [0.1])]])
    started = time.monotonic()
    with pytest.raises(LostHostError, match="limit of 1 s for the whole run"):
        kinds(tmp_path, Limits(total=1))
    assert time.monotonic() - started < 5


def test_a_damaged_line_is_passed_over(tmp_path: Path, stage: Stage) -> None:
    """What is no event does not end the run."""
    stage.play([{"no": "event"}, {"event": "ready"}, DONE])
    assert kinds(tmp_path) == ["ready", "done"]


def test_a_lost_host_is_retried_once_and_counted(tmp_path: Path, stage: Stage) -> None:
    """The second boot's results count; the first one's do not."""
    stage.play([{"event": "ready"}, PASSED], [{"event": "ready"}, PASSED, FAILED, DONE])
    lines: List[str] = []
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lines.append).run(MACHINE)
    assert (outcome.lost, outcome.status) == (1, 1)
    assert closing_line([outcome]) == "1 passed, 1 failed"
    assert outcome.promises == [("t", "tries", 3)]
    assert [(verdict.nodeid, verdict.detail) for verdict in outcome.failures] == [("t::b", "why")]
    assert len(stage.pids()) == 2
    assert "booting once more" in lines


def test_a_failed_test_is_not_retried(tmp_path: Path, stage: Stage) -> None:
    """A job that ended with failures is the result."""
    stage.play([{"event": "ready"}, FAILED, DONE])
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lambda line: None).run(MACHINE)
    assert (outcome.lost, closing_line([outcome])) == (0, "0 passed, 1 failed")
    assert len(stage.pids()) == 1


def test_a_test_that_failed_before_the_host_was_lost_has_failed(tmp_path: Path, stage: Stage) -> None:
    """It runs again with all the others, but no second try makes it good."""
    again = {**FAILED, "outcome": "passed"}
    stage.play([{"event": "ready"}, FAILED], [{"event": "ready"}, PASSED, again, {**DONE, "status": 0}])
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lambda line: None).run(MACHINE)
    assert (outcome.lost, outcome.status, closing_line([outcome])) == (1, 0, "1 passed, 1 failed")
    assert not outcome.is_good


def test_two_lost_hosts_are_an_error(tmp_path: Path, stage: Stage) -> None:
    """After the second loss the error comes out, with the test that was running."""
    stage.play([{"event": "ready"}, {"event": "begin", "nodeid": "t::slow"}])
    lines: List[str] = []
    with pytest.raises(LostHostError):
        Runner(tmp_path, tmp_path / "results", Limits(), lines.append).run(MACHINE)
    assert "the last test to begin: t::slow" in lines
    assert len(stage.pids()) == 2
