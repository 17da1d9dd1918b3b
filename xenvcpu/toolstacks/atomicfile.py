# SPDX-License-Identifier: MIT
"""Files that others read at any moment: replaced as a whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Union


def write(path: Union[str, os.PathLike[str]], text: str, mode: int = 0o644) -> None:
    """Replace a file, or make it: who reads it meanwhile has the old one or the new one, and never a part.

    Args:
        path: The file; where it is a symbolic link, the link is what is replaced.
        text: What it holds, written as UTF-8.
        mode: Its permissions, whatever the umask says.

    Raises:
        OSError: It cannot be written: the old one stays, and nothing is left beside it.
    """
    path = Path(path)
    try:
        # The name is no `*.prom`, `*.service` or whatever else a program looks for in that folder.
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # the caller knows of no other file
        raise
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        os.unlink(beside)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise
