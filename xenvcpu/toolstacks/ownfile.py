# SPDX-License-Identifier: MIT
"""Files that are installed for other programs: whole, and in place of our own only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from xenvcpu.errors import HostError
from xenvcpu.toolstacks import atomicfile

MARK = "# Made by xenvcpu"
_MODEL = "model"


def package() -> str:
    """The folder that this package is imported from."""
    return str(Path(__file__).resolve().parents[2])


def from_anywhere(host: str) -> str:
    """A host as `--host` names it, for a program that runs in another folder than this."""
    kind, _, place = host.partition(":")
    return f"{kind}:{os.path.abspath(place)}" if kind == _MODEL and os.path.exists(place) else host


def put(path: Path, text: str, mode: int) -> bool:
    """Write a file whole, in place of one that we wrote.

    Returns:
        Whether anything has changed.

    Raises:
        HostError: A file lies there that is not ours, or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _ours(path) == text and path.stat().st_mode & 0o777 == mode:
            return False
        atomicfile.write(path, text, mode)
    except OSError as error:
        raise HostError(f"{error.filename or path}: {error.strerror}") from error
    return True


def remove(path: Path) -> bool:
    """Take away a file that we wrote.

    Returns:
        Whether there was one.

    Raises:
        HostError: A file lies there that is not ours, or it cannot be taken away.
    """
    try:
        if _ours(path) is None:
            return False
        path.unlink()
    except OSError as error:
        raise HostError(f"{error.filename or path}: {error.strerror}") from error
    return True


def _ours(path: Path) -> Optional[str]:
    """What a file of ours holds; None where there is none."""
    if not path.is_symlink() and not path.exists():
        return None
    found = "" if path.is_symlink() else path.read_text(encoding="utf-8", errors="replace")
    if MARK not in found:
        raise HostError(f"{path} is not xenvcpu's; it stays as it is")
    return found
