# SPDX-License-Identifier: MIT
"""Children of the test's own process: they have everything imported, and can be killed at once."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, List, Optional, Type

from integration.evidence import processes
from integration.limits import Limit
from xenvcpu.cli.main import main
from xenvcpu.cli.root import COMMANDS, MODULES

#: Exit code of a child whose task ended with an exception.
BROKEN = 70

#: Seconds to wait for a child.
PATIENCE = 240.0

#: At this signal it writes where it is.
_WHERE = signal.SIGUSR1

#: Seconds between two looks at a child: under emulation each look costs it a good deal of the one processor.
POLL = 0.01

Task = Callable[[], None]


class Forked:
    """A child that runs a function; use it as a context manager, at whose end it is gone.

    Its standard output and error go to files. It must use no handle that was
    opened before.

    Args:
        task: What it runs; it may end with SystemExit.

    Attributes:
        pid: Its process.
        code: Its exit code when it has ended, negative for a signal.
    """

    def __init__(self, task: Task) -> None:
        self._files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        self.code: Optional[int] = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._run(task))

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.kill()
        self.wait()
        for file in self._files:
            file.close()

    def _run(self, task: Task) -> int:
        code = BROKEN
        try:
            signal.alarm(0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, file in enumerate(self._files, 1):
                os.dup2(file.fileno(), number)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            faulthandler.register(_WHERE, sys.stderr)
            try:
                task()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            return code  # noqa: B012 - whatever it was, nothing above the fork may go on in the child

    def kill(self) -> None:
        """Sends SIGKILL, if it still runs."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for its end and returns its exit code.

        Raises:
            TimeoutError: It still runs.
        """
        limit = Limit(timeout)
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif limit.passed:
                raise TimeoutError(f"process {self.pid} did not end within {timeout:g} s: {self.where()}")
            else:
                time.sleep(POLL)
        return self.code

    def await_lines(self, count: int, timeout: float = PATIENCE) -> List[Any]:
        """Waits until it has told of so many things and returns all that it told.

        Raises:
            TimeoutError: It did not.
            RuntimeError: It ended before.
        """
        limit, size = Limit(timeout), -1
        while True:
            if size != (size := self._size(0)) and len(told := self.told()) >= count:
                return told
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise RuntimeError(f"process {self.pid} has ended: {self.errors()}")
            if limit.passed:
                raise TimeoutError(f"process {self.pid} told {len(told)} things within {timeout:g} s: {self.where()}")
            time.sleep(POLL)

    def told(self) -> List[Any]:
        """Returns what it told so far; see ``tell``."""
        return [json.loads(line) for line in self.output().split("\n")[:-1]]

    def _text(self, number: int) -> str:
        return os.pread(self._files[number].fileno(), self._size(number), 0).decode(errors="replace")

    def _size(self, number: int) -> int:
        return os.fstat(self._files[number].fileno()).st_size

    def output(self) -> str:
        """Returns what it wrote to its standard output so far."""
        return self._text(0)

    def where(self) -> str:
        """Returns what it wrote to its standard error, and where it and its children are now."""
        family = (self.pid, *processes.children(self.pid))
        stacks = [f"{pid} {processes.name(pid)}:\n{_kernel_stack(pid)}" for pid in family]
        os.kill(self.pid, _WHERE)
        time.sleep(1)
        return "\n".join([self.errors(), *stacks])

    def errors(self) -> str:
        """Returns what it wrote to its standard error so far."""
        return self._text(1)


def _kernel_stack(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stack").read_text()
    except OSError:
        return ""


def command(*arguments: object) -> Task:
    """The command ``xenvcpu`` as a task, without the time that a new Python takes."""
    _import_commands()

    def run() -> None:
        sys.argv = ["xenvcpu", *map(str, arguments)]
        main()

    return run


@lru_cache(maxsize=None)
def _import_commands() -> None:
    """Imports here what otherwise each child would have to import."""
    ours = ("report", *(f"commands.{MODULES.get(name, name)}" for name in COMMANDS))
    for name in ("rich.console", "rich.table", *(f"xenvcpu.cli.{name}" for name in ours)):
        importlib.import_module(name)


def tell(**fields: Any) -> None:
    """Writes one line for the parent, at once."""
    print(json.dumps(fields), flush=True)
