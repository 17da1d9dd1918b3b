# SPDX-License-Identifier: MIT
"""Programs of the build: run with a time limit, explained when they fail."""

import shutil
import subprocess
from pathlib import Path
from typing import Mapping, Optional, Sequence

from integration.lab.errors import CommandError

_TAIL = 4000


def have(program: str) -> bool:
    """Says whether ``program`` is on the PATH (``/sbin`` included)."""
    return find(program) is not None


def find(program: str) -> Optional[str]:
    """Returns the path of ``program``, or None."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
) -> str:
    """Runs a program and returns what it printed, both streams together.

    Raises:
        CommandError: It is missing, failed, or exceeded ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            cwd=cwd,
            env=None if env is None else dict(env),
            check=False,
        )
    except FileNotFoundError:
        raise CommandError(argv, "not installed", "") from None
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode(errors="replace")
        raise CommandError(argv, f"took over {timeout:g} s", printed[-_TAIL:]) from None
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise CommandError(argv, f"exit status {done.returncode}", text[-_TAIL:])
    return text
