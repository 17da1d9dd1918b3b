# SPDX-License-Identifier: MIT
"""Where the files of a change lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from xenvcpu import keptfile, lock
from xenvcpu.privatefolder import private_folder


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
    folder = private_folder(Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"xenvcpu-{os.geteuid()}")
    return Folders(folder / "locks", str(folder / "kept"))
