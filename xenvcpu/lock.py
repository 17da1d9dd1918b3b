# SPDX-License-Identifier: MIT
"""One start or stop of a domain at a time, on this host.

Two starts that overlap would each put back what they read, and so stop the vcpus that the
other one started.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, ContextManager, Iterator
from uuid import UUID

from xenvcpu.errors import DomainBusyError, HostError

FOLDER = Path("/run/lock")
PATIENCE = 30.0
"""Seconds to wait for another start or stop; each takes milliseconds."""
_STEP = 0.02

Lock = Callable[[UUID], ContextManager[None]]
"""Holds the lock of the domain with that handle."""


@contextmanager
def domain_lock(handle: UUID, folder: Path = FOLDER, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of one domain; the kernel gives it back when the process ends, however it ends.

    Raises:
        HostError: The lock file cannot be made.
        DomainBusyError: Another process held it for all of `patience` seconds.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"xenvcpu-{handle}.lock", flags, 0o600)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}; the lock of a domain lies there") from error
    try:
        _take(descriptor, handle, patience)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, handle: UUID, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DomainBusyError(
                    f"another xenvcpu has been driving domain {handle} for {patience:.0f} s; look what it waits for"
                ) from None
            time.sleep(_STEP)


@contextmanager
def no_lock(handle: UUID) -> Iterator[None]:
    """For a model, which nobody else drives: a world file has a lock of its own."""
    yield
