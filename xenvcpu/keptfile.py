# SPDX-License-Identifier: MIT
"""Captures that could not be put back, each in a file of its own until `xenvcpu recover` has loaded it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

from xenvcpu.capture import LARGEST, Capture
from xenvcpu.errors import FormatError, HostError

FOLDER = "/var/lib/xenvcpu"
_SUFFIX = ".capture.json"


@dataclass(frozen=True)
class KeptFile:
    """A capture in its file.

    Attributes:
        path: The file.
        capture: What it holds.
        left: What was not as before when it was written.
        at: When that was: seconds since 1970.
    """

    path: str
    capture: Capture
    left: Tuple[str, ...]
    at: float


def keep(capture: Capture, left: Sequence[str], folder: str = FOLDER) -> Optional[str]:
    """Write a capture to a new file (mode 0600, in a folder of mode 0700).

    Returns:
        The file; None when it cannot be written, which must not hide why it was to be.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = Path(folder) / f"{capture.handle}-{stamp}-{os.getpid()}{_SUFFIX}"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({**capture.as_dict(), "left": list(left), "at": time.time()}, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return None
    return str(path)


def read(path: str) -> KeptFile:
    """Read a file that `keep` wrote.

    Raises:
        HostError: It cannot be read.
        FormatError: It is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise FormatError(f"{path}: larger than any capture", offset=LARGEST)
    try:
        found = json.loads(data)
        capture = Capture.from_dict(found)
        left, at = found["left"], found["at"]
        if type(at) not in (int, float) or not all(isinstance(line, str) for line in left):
            raise FormatError("`left` and `at` are sentences and a time")
    except FormatError as error:
        raise FormatError(f"{path}: {error}", offset=error.offset) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path}: not a kept capture: {error}") from error
    return KeptFile(path, capture, tuple(left), float(at))


def kept(folder: str = FOLDER) -> Tuple[str, ...]:
    """The files of a folder, oldest first by the time in their names.

    Raises:
        HostError: It cannot be read.
    """
    try:
        names = sorted(os.listdir(folder), key=lambda name: name[36:])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    return tuple(os.path.join(folder, name) for name in names if name.endswith(_SUFFIX))
