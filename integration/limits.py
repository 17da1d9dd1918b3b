# SPDX-License-Identifier: MIT
"""Limits that guard against slowness: each is in seconds of the emulated host's time, see ``hosttime``.

One that took longer by the clock was stretched; the run says so in the end, for a machine that is busy shows less.
"""

import itertools
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from typing import Any, Callable, Dict, Optional, Sequence, Union

from integration import hosttime
from integration.lab.dom0.status import Status

Tell = Callable[..., None]
_KEPT: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
_numbers = itertools.count()
#: What a limit was stretched by is told again when it has grown by so many seconds.
_GROWN = 0.5
#: Programs, and whatever else waits for no host's time, are waited for so long at once.
_TURN = 5.0


def tell(**fields: object) -> None:
    """Tells the lab of a stretched limit, if this is one of its hosts."""
    status = Status.inherited()
    if status is not None:
        status.send("stretched", **fields)


class Limit:
    """So many seconds from now.

    Args:
        seconds: How many, of the host's time.
        now: The host's time; ours if nothing is said.
        tell: Takes by how much it was stretched.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = hosttime.now, tell: Tell = tell) -> None:
        self._now = now
        self._tell = tell
        self.reset(seconds)

    def reset(self, seconds: float) -> None:
        """Begins from now on."""
        self.seconds = seconds
        self._key = f"{os.getpid()}-{next(_numbers)}"
        self._began, self._clock, self._told = self._now(), time.monotonic(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of the host's time since it began; has a look whether it is stretched."""
        elapsed = self._now() - self._began
        clock = time.monotonic() - self._clock
        if elapsed < self.seconds and clock - self.seconds > self._told + _GROWN:
            self._told = clock - self.seconds
            self._tell(key=self._key, limit=self.seconds, clock=clock)
        return elapsed

    @property
    def left(self) -> float:
        """Seconds until then, not below 0."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        """Whether they are over."""
        return self.left == 0.0


def run(
    argv: Sequence[str], seconds: Union[float, Limit], given: Optional[bytes] = None, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """Runs a program to its end and keeps what it prints, as text unless told otherwise.

    Args:
        argv: Its command line.
        seconds: Limit; of another host than this, as one.
        given: Its input; None leaves it ours.
        options: As of ``subprocess.Popen``.

    Raises:
        TimeoutExpired: It took longer, and was killed.
    """
    with ExitStack() as stack:
        if given is not None:  # as a file: of what goes through a pipe the rest is lost when communicate() times out
            options["stdin"] = file = stack.enter_context(tempfile.TemporaryFile())
            file.write(given)
            file.seek(0)
        process = stack.enter_context(subprocess.Popen(argv, **{**_KEPT, **options}))
        try:
            output, errors = _finish(process, seconds if isinstance(seconds, Limit) else Limit(seconds))
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)


def _finish(process: "subprocess.Popen[Any]", limit: Limit) -> Any:
    while True:
        try:
            return process.communicate(timeout=min(limit.left, _TURN))
        except subprocess.TimeoutExpired as error:
            if limit.passed:
                process.kill()
                output, errors = process.communicate()
                raise subprocess.TimeoutExpired(error.cmd, limit.seconds, output, errors) from None
