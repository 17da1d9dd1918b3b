# SPDX-License-Identifier: MIT
"""Tests that run in a fork of this process, in a copy of the checkout, with a limit on time and memory."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Callable, Optional

_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "fuzz-crashes")
_MEMORY = 4 << 30
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: what a fork leaves behind becomes our child, and can be ended."""
_RAISED = 70


def copy(checkout: Path, root: Path) -> None:
    """Copy what the tests need: mutants are never in the checkout."""
    shutil.copytree(checkout, root, ignore=_NOT_COPIED)


def forked(root: Path, work: Callable[[], int], limit: float) -> Optional[int]:
    """The exit code of work that is done in a fork, in a copy; None when it took more seconds than it may."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        code = _RAISED
        try:
            _settle(root)
            code = int(work())
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    until = time.monotonic() + limit
    code = None
    while code is None and time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.005)
    _end_children()
    return code


def _settle(root: Path) -> None:
    """Run in the copy, which is found before an installed xenvcpu, by all that is started from here as well."""
    if str(root) in sys.path:
        return  # a fork of a fork: pytest has its own idea of where output goes
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    # A shell lets what it starts in the background ignore these, and tests wait for them.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)


def _end_children() -> None:
    """Kill what is left, and what that leaves to us."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while found := children.read_text().split():
        for pid in map(int, found):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
