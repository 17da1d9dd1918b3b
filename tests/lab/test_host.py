# SPDX-License-Identifier: MIT
"""A lost host and a finished job are told apart; a stand-in plays QEMU."""

import json
import os
import time
from pathlib import Path
from typing import Callable, List

import pytest

from integration.lab.errors import LostHostError, XenFailedError
from integration.lab.host import EmulatedHost, Limits
from integration.lab.outcome import closing_line
from integration.lab.qemu import Machine
from integration.lab.runner import Runner
from integration.lab.stretches import Stretch

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
    stage.play(["(XEN) Dom0 has maximum 1 VCPUs", "", {"event": "ready"}, GUEST])
    with pytest.raises(LostHostError, match="ended by itself with status 0") as caught:
        kinds(tmp_path)
    assert caught.value.console == ("(XEN) Dom0 has maximum 1 VCPUs",)
    assert caught.value.guests == {"tiny-1": ("one", "two")}
    assert "last lines of guest tiny-1" in caught.value.report()


#: As Xen 4.17 prints it; the warning before it is no failure.
PANIC = [
    "(XEN) Xen WARN at mm.c:1", "(XEN) ----[ Xen-4.17.5  x86_64 ]----", "(XEN) RIP: e008:[<ffff82d040202e2b>] nmi",
    "(XEN) Panic on CPU 0:", "(XEN) FATAL TRAP: vec 2, NMI[0000]", "(XEN) Reboot in five seconds...",
]
FAULTS = ("(XEN) Panic on CPU 0:", "(XEN) FATAL TRAP: vec 2, NMI[0000]")


@pytest.mark.parametrize("then", [[], [{"event": "broken", "reason": "no xenstored"}], [[60]], [DONE]])
def test_a_xen_that_failed_is_no_lost_host(tmp_path: Path, stage: Stage, then: List[object]) -> None:
    """Whether QEMU then ends, the dom0 gives up or falls silent, or the job ends as if nothing had been."""
    stage.play([{"event": "ready"}, *PANIC, *then])
    with pytest.raises(XenFailedError) as caught:
        kinds(tmp_path, Limits(silence=0.5))
    assert caught.value.faults == FAULTS
    assert caught.value.report().splitlines()[-len(PANIC) :] == PANIC


def test_a_failed_xen_is_reported_and_never_retried(tmp_path: Path, stage: Stage) -> None:
    """Neither a good end of the job nor the host before, which was lost, makes it anything else."""
    stage.play([{"event": "ready"}], [{"event": "ready"}, *PANIC, PASSED, {**DONE, "status": 0}], [PASSED, DONE])
    lines: List[str] = []
    runner = Runner(tmp_path, tmp_path / "results", Limits(), lines.append)
    with pytest.raises(XenFailedError):
        runner.run(MACHINE)
    assert (runner.outcome.boots, len(stage.pids()), runner.outcome.status) == (2, 2, 0)
    assert not runner.outcome.is_good and not runner.outcome.is_lost
    assert FAULTS[1] in runner.outcome.xen_failed and FAULTS[1] in "\n".join(lines)
    assert (tmp_path / "results/console-2.log").is_file() and (tmp_path / "results/junit.xml").is_file()


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
    assert (outcome.boots, outcome.losses, outcome.status) == (2, ["QEMU ended by itself with status 0"], 1)
    assert closing_line([outcome]) == "1 passed, 1 failed"
    assert outcome.promises == [("t", "tries", 3)]
    assert [(verdict.nodeid, verdict.detail) for verdict in outcome.failures] == [("t::b", "why")]
    assert len(stage.pids()) == 2
    assert "booting once more" in lines


def test_a_failed_test_is_not_retried(tmp_path: Path, stage: Stage) -> None:
    """A job that ended with failures is the result."""
    stage.play([{"event": "ready"}, FAILED, DONE])
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lambda line: None).run(MACHINE)
    assert (outcome.losses, closing_line([outcome])) == ([], "0 passed, 1 failed")
    assert len(stage.pids()) == 1


def test_a_test_that_failed_before_the_host_was_lost_has_failed(tmp_path: Path, stage: Stage) -> None:
    """It runs again with all the others, but no second try makes it good."""
    again = {**FAILED, "outcome": "passed"}
    stage.play([{"event": "ready"}, FAILED], [{"event": "ready"}, PASSED, again, {**DONE, "status": 0}])
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lambda line: None).run(MACHINE)
    assert (len(outcome.losses), outcome.status, closing_line([outcome])) == (1, 0, "1 passed, 1 failed")
    assert not outcome.is_good


def test_stretched_limits_come_out(tmp_path: Path, stage: Stage) -> None:
    """The last word on each, with the test in which it was; and how long the host was there."""
    told = {"event": "stretched", "key": "1", "limit": 60}
    stage.play([
        {"event": "ready"}, {"event": "begin", "nodeid": "t::slow"}, {**told, "clock": 61}, {**told, "clock": 70},
        {"event": "begin", "nodeid": "t::next"}, {**told, "key": "2", "clock": 62}, DONE,
    ])
    outcome = Runner(tmp_path, tmp_path / "results", Limits(), lambda line: None).run(MACHINE)
    assert list(outcome.stretched.values()) == [Stretch("t::slow", 60, 70), Stretch("t::next", 60, 62)]
    assert 0 <= outcome.hours.waited < outcome.hours.clock


def test_two_lost_hosts_are_an_error(tmp_path: Path, stage: Stage) -> None:
    """After the second loss the error comes out, with the test that was running."""
    stage.play([{"event": "ready"}, {"event": "begin", "nodeid": "t::slow"}])
    lines: List[str] = []
    runner = Runner(tmp_path, tmp_path / "results", Limits(), lines.append)
    with pytest.raises(LostHostError):
        runner.run(MACHINE)
    assert (runner.outcome.boots, len(runner.outcome.losses)) == (2, 2) and runner.outcome.is_lost
    assert "the last test to begin: t::slow" in lines
    assert len(stage.pids()) == 2
