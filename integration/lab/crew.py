# SPDX-License-Identifier: MIT
"""Several jobs at once, a process for each: what one prints and what comes of it goes to the one that waits.

A job's process has a session of its own, so that Ctrl-C reaches only us. We end it then, and with it
whatever it has begun; it ends by itself if we are killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Dict, Generic, List, Mapping, Tuple, TypeVar, Union

from integration.lab.errors import LabError

T = TypeVar("T")
Tell = Callable[[str], None]
Job = Callable[[Tell], T]

_FORK = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG = 1
#: A job that is ended gets so many seconds to end what it has begun.
_GRACE = 10.0


class Crew(Generic[T]):
    """Runs jobs, so many at once.

    Args:
        at_once: How many.
        tell: Takes the name of a job and a line of its progress.
    """

    def __init__(self, at_once: int, tell: Callable[[str, str], None]) -> None:
        self._at_once = at_once
        self._tell = tell
        self._busy: Dict[Connection, "_Hand"] = {}

    def run(self, jobs: Mapping[str, Job[T]]) -> Dict[str, Union[T, str]]:
        """Runs all jobs, the first ones first.

        Returns:
            What came of each by its name; a text if it broke, why.
        """
        waiting, results = deque(jobs.items()), {}
        try:
            while waiting or self._busy:
                while waiting and len(self._busy) < self._at_once:
                    hand = _Hand(*waiting.popleft())
                    self._busy[hand.answers] = hand
                for answers in wait(list(self._busy)):
                    assert isinstance(answers, Connection)
                    name, (kind, content) = self._busy[answers].name, self._busy[answers].receive()
                    if kind == "line":
                        self._tell(name, content)
                    else:
                        results[name] = content
                        self._busy.pop(answers).dismiss()
            return {name: results[name] for name in jobs}
        finally:
            self._end()

    def _end(self) -> None:
        hands: List[_Hand] = list(self._busy.values())
        self._busy.clear()
        for hand in hands:
            hand.end()
        for hand in hands:
            hand.dismiss()


class _Hand:
    """The process of one job."""

    def __init__(self, name: str, job: Job[T]) -> None:
        self.name = name
        self.answers, answer = _FORK.Pipe(duplex=False)
        sys.stdout.flush()
        self._process = _FORK.Process(target=_work, args=(job, answer, os.getpid()))
        self._process.start()
        answer.close()

    def receive(self) -> Tuple[str, Any]:
        """Returns what kind of message it is and what it says; the end is one too."""
        try:
            kind, content = self.answers.recv()
            return kind, content
        except EOFError:
            self._process.join(_GRACE)
            return "result", f"its process ended with status {self._process.exitcode}"

    def end(self) -> None:
        """Asks it to put things away and end."""
        self._process.terminate()

    def dismiss(self) -> None:
        """Waits for its end; then nothing of it is left."""
        wait([self._process.sentinel], _GRACE)
        assert self._process.pid is not None
        with suppress(ProcessLookupError):  # it has not been waited for: the number is still that of its session
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self.answers.close()


def _work(job: Job[T], answer: Connection, parent: int) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        result: Union[T, str] = job(lambda line: answer.send(("line", line)))
    except LabError as error:
        result = str(error)
    except Exception:
        result = traceback.format_exc()
    answer.send(("result", result))
    answer.close()
