# SPDX-License-Identifier: MIT
"""The command as an administrator types it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

_LIMIT = 120.0


def xenvcpu(*arguments: object, timeout: float = _LIMIT) -> subprocess.CompletedProcess[str]:
    """Runs ``xenvcpu``, whatever comes of it."""
    return subprocess.run(["xenvcpu", *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def xenvcpu_json(*arguments: object) -> Any:
    """Runs ``xenvcpu --json``, which must succeed, and returns what it printed."""
    done = xenvcpu(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
