# SPDX-License-Identifier: MIT
"""Stages in lanes, one a processor: each lane takes the next stage that has what it needs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, List, Optional, Sequence

from tests.lanes import result as results
from tests.lanes.machine import Packages, pythons
from tests.lanes.result import Result
from tests.lanes.stage import ROOT, Stage, log_of, report_of

Tell = Callable[[str], None]
_LOOK = 0.2
_GRACE = 30.0
_NICE = 19
"""Other stages give way to an emulated host, whose clock does not wait: a stage may have twenty processes."""
_COUNT = re.compile(r"\[ *(\d+/\d+)\]$", re.MULTILINE)
_TAIL = 2000


def command(stage: Stage, wheel: Path, more: Sequence[str]) -> List[str]:
    """The command line of a stage."""
    program = [str(Path(sys.executable).with_name("tox")), "run", "-q", "-e", stage.name, "--installpkg", str(wheel)]
    return [*program, "--", *more] if more else program


def environment(workers: int) -> Dict[str, str]:
    """What a stage finds in its environment besides ours.

    tox finds interpreters by PATH; those of pyenv come last, so that the user's choice wins.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *pythons()])
    return {
        **os.environ, "PATH": path, "PYTEST_XDIST_AUTO_NUM_WORKERS": str(workers),
        "UV_PYTHON_DOWNLOADS": "never", "PYTHONUNBUFFERED": "1", "TOX_COLORED": "no",
    }


@dataclass
class _Running:
    """A stage that runs."""

    stage: Stage
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]
    began: float

    def doing(self) -> str:
        """A few words on how far it is: how many tests pytest has counted, or the last line that was printed."""
        tail = log_of(self.stage).read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        counts, lines = _COUNT.findall(tail), tail.split("\n")
        how_far = f"{counts[-1]} tests" if counts else next(filter(None, reversed(lines)), "")[:70]
        return f"{self.stage.name} {time.monotonic() - self.began:.0f} s: {how_far}"

    def ended(self, code: int) -> Result:
        self.log.close()
        seconds = time.monotonic() - self.began
        return results.read(self.stage, seconds, code, report_of(self.stage), log_of(self.stage))

    def interrupt(self) -> None:
        """Ends it with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


@contextmanager
def _interrupts() -> Iterator[List[int]]:
    """The interrupts that come meanwhile: none cuts off the start of a process, which nobody would end then."""
    came: List[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


class Lanes:
    """Runs stages, so many at once.

    Args:
        number: How many.
        commands: The command line of a stage.
        packages: What installs packages of Debian meanwhile.
        ended: Is given each result as it falls.
        progress: Is given what all lanes are doing, now and then.
    """

    def __init__(
        self, number: int, commands: Callable[[Stage], List[str]], packages: Packages,
        ended: Callable[[Result], None], progress: Tell,
    ) -> None:
        self._number = number
        self._commands = commands
        self._packages = packages
        self._ended = ended
        self._progress = progress
        self._running: List[_Running] = []

    def run(self, stages: Sequence[Stage]) -> List[Result]:
        """Runs all of them; the results are in the order in which they fell."""
        waiting, done = list(stages), []
        with _interrupts() as came, self._none_left():
            while waiting or self._running:
                if came:
                    raise KeyboardInterrupt
                while len(self._running) < self._number:
                    ready = next(filter(self._packages.are_ready, waiting), None)
                    if ready is None:
                        break
                    waiting.remove(ready)
                    self._running.append(self._start(ready))
                time.sleep(_LOOK)
                for one in [one for one in self._running if one.process.poll() is not None]:
                    self._running.remove(one)
                    done.append(one.ended(one.process.returncode))
                    self._ended(done[-1])
                self._progress(" | ".join(one.doing() for one in self._running) or "apt: installing packages")
        return done

    @contextmanager
    def _none_left(self) -> Iterator[None]:
        try:
            yield
        finally:
            for one in self._running:
                one.interrupt()

    def _start(self, stage: Stage) -> _Running:
        log_of(stage).parent.mkdir(parents=True, exist_ok=True)
        report_of(stage).unlink(missing_ok=True)
        log = log_of(stage).open("wb")
        process = subprocess.Popen(
            self._commands(stage), cwd=ROOT, env=environment(self._number), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=None if stage.emulates else lambda: os.nice(_NICE) and None,
        )
        return _Running(stage, process, log, time.monotonic())


def alone(stage: Stage, argv: Sequence[str], workers: int) -> Result:
    """Runs one stage on this terminal, and keeps no log but what a refusal needs."""
    report_of(stage).unlink(missing_ok=True)
    began, last = time.monotonic(), log_of(stage)
    last.parent.mkdir(parents=True, exist_ok=True)
    code: Optional[int] = None
    with last.open("wb") as log, subprocess.Popen(
        list(argv), cwd=ROOT, env=environment(workers), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), 1 << 16):
            log.write(data)
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        code = process.wait()
    return results.read(stage, time.monotonic() - began, code, report_of(stage), last)
