# SPDX-License-Identifier: MIT
"""The command as an administrator types it; where counts are brisk it is forked, without a new Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Optional, Sequence

from integration.forked import Forked, Task, command
from integration.limits import run
from integration.promises import IS_BRISK

_LIMIT = 120.0


def program(
    argv: Sequence[str], task: Task, *, folder: Optional[Path] = None, timeout: float = _LIMIT
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a folder, whatever comes of it; where counts are brisk a fork does the same as a task."""
    if not IS_BRISK:
        return run(argv, timeout, cwd=folder)

    def there() -> None:
        if folder is not None:
            os.chdir(folder)
        task()

    with Forked(there) as process:
        code = process.wait(timeout)
        return subprocess.CompletedProcess(argv, code, process.output(), process.errors())


def xenvcpu(
    *arguments: object, timeout: float = _LIMIT, folder: Optional[Path] = None
) -> subprocess.CompletedProcess[str]:
    """Runs ``xenvcpu`` in a folder, whatever comes of it."""
    argv = ["xenvcpu", *map(str, arguments)]
    return program(argv, command(*arguments), folder=folder, timeout=timeout)


def xenvcpu_json(*arguments: object) -> Any:
    """Runs ``xenvcpu --json``, which must succeed, and returns what it printed."""
    done = xenvcpu(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
