# SPDX-License-Identifier: MIT
"""Where the files of a change lie."""

from __future__ import annotations

import hashlib
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


TEMPORARY = Path("/tmp")
HOST = Folders(lock.FOLDER, keptfile.FOLDER)
"""Those of a real host."""


def of_world(path: str) -> Folders:
    """Those of a world file, which need no privilege; worlds have domains of the same UUID, and share nothing.

    Raises:
        HostError: The folder is another user's.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
    folder = private_folder(TEMPORARY / f"xenvcpu-{os.geteuid()}") / name
    return Folders(private_folder(folder) / "locks", str(folder / "kept"))
