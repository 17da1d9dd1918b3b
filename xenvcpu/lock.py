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
from typing import Iterator, Set
from uuid import UUID

from xenvcpu.deadline import Deadline, Patience
from xenvcpu.errors import DomainBusyError, HostError
from xenvcpu.privatefolder import private_folder

FOLDER = Path("/run/lock/xenvcpu")
_STEP = 0.02
_PID_SIZE = 32
_held: Set[int] = set()


def _close_in_child() -> None:
    """A fork of the program would keep the lock for as long as it lives."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def domain_lock(
    handle: UUID, folder: Path, patience: Patience, deadline: Deadline, *, name: str = ""
) -> Iterator[int]:
    """Hold the lock of one domain; the kernel gives it back when the last process that has it ends, however it ends.

    Args:
        handle: The domain's UUID.
        folder: Where the locks are.
        patience: Whether to wait for another process.
        deadline: How long to wait.
        name: What messages call the domain.

    Yields:
        The descriptor of the lock; a process that is given a copy holds the lock too.

    Raises:
        HostError: The lock file cannot be made.
        DomainBusyError: Another process held it until the deadline, or holds it and `patience` does not wait.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(private_folder(folder) / f"{handle}.lock", flags, 0o600)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}; the lock of a domain lies there") from error
    _held.add(descriptor)
    try:
        _take(descriptor, name or f"domain {handle}", patience, deadline)
        os.pwrite(descriptor, f"{os.getpid():<{_PID_SIZE}}".encode("ascii"), 0)
        yield descriptor
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _take(descriptor: int, domain: str, patience: Patience, deadline: Deadline) -> None:
    is_told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = _holder(descriptor)
        if not patience.waits:
            raise DomainBusyError(
                f"{holder} drives {domain}, and --no-wait was given; nothing was touched: try again when it has ended"
            )
        if not is_told:
            patience.tell(
                f"waiting for {holder}, which drives {domain}, {deadline.timeout:g} s at most; Ctrl-C gives up"
            )
            is_told = True
        if not deadline.left:
            raise DomainBusyError(
                f"{holder} drives {domain}, still after {deadline.timeout:g} s; nothing was touched: try again when it"
                " has ended, or give a longer --timeout"
            )
        time.sleep(_STEP)


def _holder(descriptor: int) -> str:
    """Who holds a lock: its process has left its number there."""
    text = os.pread(descriptor, _PID_SIZE, 0).strip()
    return f"process {int(text)}" if text.isdigit() else "another xenvcpu"
