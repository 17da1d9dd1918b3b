# SPDX-License-Identifier: MIT
"""What the headers and sources of Xen's releases say, in `data/xen-abi.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from xenvcpu.rules.release import Release

PATH = Path(__file__).with_name("data") / "xen-abi.json"


def facts() -> dict[str, Any]:
    """All of it."""
    loaded: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return loaded


def of_release(table: Mapping[str, Any], release: Release) -> Any:
    """What holds in a release; a row holds from its release on, until the next one."""
    return table[max((since for since in table if is_since(release, since)), key=_minor)]


def is_since(release: Release, since: str) -> bool:
    """Whether a release is of a branch, or of a later one."""
    return release.minor >= _minor(since)


def _minor(text: str) -> int:
    return int(text.split(".")[1])
