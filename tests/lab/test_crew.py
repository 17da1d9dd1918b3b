# SPDX-License-Identifier: MIT
"""Jobs side by side: each in a process, all of them gone in the end, however that comes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from integration.lab.crew import Crew, Tell
from integration.lab.errors import LabError

ROOT = Path(__file__).resolve().parents[2]


def crew(at_once: int = 2) -> Tuple[Crew[str], List[Tuple[str, str]]]:
    lines: List[Tuple[str, str]] = []
    return Crew(at_once, lambda name, line: lines.append((name, line))), lines


def test_each_job_tells_by_its_name_and_has_a_result() -> None:
    """They come in the order that was given, whichever ends first."""

    def slow(tell: Tell) -> str:
        tell("one")
        time.sleep(0.2)
        tell("two")
        return "slow"

    workers, lines = crew()
    assert list(workers.run({"a": slow, "b": lambda tell: "quick"}).items()) == [("a", "slow"), ("b", "quick")]
    assert lines == [("a", "one"), ("a", "two")]


def test_no_more_at_once_than_asked_for(tmp_path: Path) -> None:
    """Of two that wait for each other one goes on only when both run."""

    def meet(mine: str, other: str) -> str:
        (tmp_path / mine).touch()
        end = time.monotonic() + 30
        while not (tmp_path / other).exists() and time.monotonic() < end:
            time.sleep(0.01)
        return str((tmp_path / other).exists())

    jobs = {"a": lambda tell: meet("a", "b"), "b": lambda tell: meet("b", "a")}
    assert crew(2)[0].run(jobs) == {"a": "True", "b": "True"}

    def alone(tell: Tell) -> str:
        with (tmp_path / "running").open("x"):
            time.sleep(0.1)
        (tmp_path / "running").unlink()
        return "alone"

    assert crew(1)[0].run({"a": alone, "b": alone}) == {"a": "alone", "b": "alone"}


def test_a_job_that_breaks_says_why_and_the_others_go_on() -> None:
    """An error of the lab, any other one, and a process that is killed."""

    def cannot(tell: Tell) -> str:
        raise LabError("no mirror")

    def bug(tell: Tell) -> str:
        raise ValueError("bug")

    def killed(tell: Tell) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    came: Dict[str, str] = crew()[0].run({"a": cannot, "b": bug, "c": killed, "d": lambda tell: "good"})
    assert (came["a"], came["d"]) == ("no mirror", "good")
    assert "ValueError: bug" in came["b"]
    assert came["c"] == "its process ended with status -9"


#: Two jobs, each with a child that would last; their pids are told.
PROGRAM = """
import os, subprocess, sys, time
from integration.lab.crew import Crew
def job(tell):
    child = subprocess.Popen(["sleep", "600"])
    tell(f"{os.getpid()} {child.pid}")
    time.sleep(600)
Crew(2, lambda name, line: print(line, flush=True)).run({"a": job, "b": job})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running_behind(number: int) -> None:
    """Ctrl-C and SIGTERM end the jobs and what they began; SIGKILL of ours ends the jobs."""
    argv = [sys.executable, "-c", f"import signal, sys; signal.signal(15, lambda n, f: sys.exit(n))\n{PROGRAM}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        pids = [[int(word) for word in process.stdout.readline().split()] for _ in range(2)]
        process.send_signal(number)
        process.wait(60)
    children = [child for _, child in pids]
    gone = [pid for pid, _ in pids] + (children if number != signal.SIGKILL else [])
    try:
        end = time.monotonic() + 60
        while any(is_running(pid) for pid in gone) and time.monotonic() < end:
            time.sleep(0.01)
        assert [pid for pid in gone if is_running(pid)] == []
    finally:
        for pid in children:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether it is there and no zombie that somebody has yet to wait for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
