# SPDX-License-Identifier: MIT
"""Where the files of a change lie."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from xenvcpu import keptfile, lock
from xenvcpu.errors import HostError


@dataclass(frozen=True)
class Folders:
    """Where files lie.

    Attributes:
        locks: The locks of domains.
        kept: Captures that could not be put back.
    """

    locks: Path
    kept: str


HOST = Folders(lock.FOLDER, keptfile.FOLDER)
"""Those of a real host."""


def of_user() -> Folders:
    """Those of a world file, which need no privilege.

    Raises:
        HostError: The folder is another user's.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"xenvcpu-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}; the locks of a world file lie there") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise HostError(f"{folder} is not a folder of yours; remove it, or set XDG_RUNTIME_DIR")
    return Folders(folder, str(folder))
