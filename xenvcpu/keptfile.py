# SPDX-License-Identifier: MIT
"""Captures that could not be put back, each in a file of its own until `xenvcpu recover` has loaded it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from xenvcpu.capture import LARGEST, Capture
from xenvcpu.errors import FormatError, HostError
from xenvcpu.left import Left
from xenvcpu.privatefolder import private_folder

FOLDER = "/var/lib/xenvcpu"
_SUFFIX = ".capture.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MODE = 0o600


@dataclass(frozen=True)
class KeptFile:
    """A capture in its file.

    Attributes:
        path: The file.
        capture: What it holds.
        left: What was not as before when it was written.
        at: When that was: seconds since 1970.
        boot: The boot of this machine in which it was.
    """

    path: str
    capture: Capture
    left: Left
    at: float
    boot: str

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the machine has not been booted anew since."""
        return self.boot == boot_id()


def boot_id() -> str:
    """What names the present boot of this machine; "" where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def keep(capture: Capture, left: Left, folder: str = FOLDER) -> str:
    """Write a capture to a new file (mode 0600, in a folder of mode 0700), whole or not at all.

    Returns:
        The file.

    Raises:
        HostError: It cannot be written.
    """
    now = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    name = f"{capture.handle}-{stamp}.{now % 10**9:09}Z{_SUFFIX}"
    made = {**capture.as_dict(), "left": left.as_dict(), "at": now / 10**9, "boot": boot_id()}
    path = private_folder(Path(folder)) / name
    partial = path.with_name(f".{name}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(partial, flags, _MODE), "w", encoding="ascii") as file:
            json.dump(made, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(partial)
        raise HostError(f"{path}: {error.strerror}") from error
    return str(path)


def keep_or_say(capture: Capture, left: Left, folder: str) -> Tuple[Optional[str], Tuple[str, ...]]:
    """Keep what a recovery could bring back.

    Returns:
        The file, or None where there is nothing to keep or it cannot be written; and then a line that says so.
    """
    if not left.is_recoverable:
        return None, ()
    try:
        return keep(capture, left, folder), ()
    except HostError as error:
        return None, (f"what it was could NOT be kept: {error}",)


def read(path: str) -> KeptFile:
    """Read a file that `keep` wrote.

    Raises:
        FormatError: It cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}") from error
    return parse(data, path)


def parse(data: bytes, path: str) -> KeptFile:
    """Read what stands in such a file.

    Raises:
        FormatError: It is none; the message names the path.
    """
    if len(data) > LARGEST:
        raise FormatError(f"{path}: larger than any capture", offset=LARGEST)
    try:
        found = json.loads(data)
        capture = Capture.from_dict(found)
        left, at, boot = Left.from_dict(found["left"]), found["at"], found["boot"]
        if type(at) not in (int, float) or type(boot) is not str:
            raise FormatError("`at` is a time, and `boot` a name")
    except FormatError as error:
        raise FormatError(f"{path}: {error}", offset=error.offset) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path}: no file that xenvcpu kept: {error}") from error
    return KeptFile(path, capture, left, float(at), boot)


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
    return tuple(os.path.join(folder, name) for name in names if name.endswith(_SUFFIX) and not name.startswith("."))
