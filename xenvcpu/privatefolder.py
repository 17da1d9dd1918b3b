# SPDX-License-Identifier: MIT
"""A folder that nobody else can write to, also where everybody may make one (`/run/lock`, `/tmp`)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xenvcpu.errors import HostError


def private_folder(folder: Path) -> Path:
    """Make a folder of mode 0700, or find one that is ours.

    Raises:
        HostError: It cannot be made, or it is another user's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise HostError(f"{folder} belongs to uid {found.st_uid}, or others may write to it: remove it")
    return folder
