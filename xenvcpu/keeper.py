# SPDX-License-Identifier: MIT
"""Who keeps a domain while it is changed: its lock, its pause, and what was captured of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator, Optional, Tuple

from xenvcpu import pausing
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.audit import Audit, no_audit
from xenvcpu.capture import Capture
from xenvcpu.deadline import Deadline, Patience
from xenvcpu.left import Left
from xenvcpu.ports.dom0 import Dom0Port


class Keeper:
    """For a model in memory: nobody else drives it, and it ends with the program. So there is neither lock nor guard.

    Attributes:
        patience: How long an operation may wait.
        audit: Is told of each change.

    Synchronization: not for use from two threads at once; one domain at a time.
    """

    def __init__(self, port: Dom0Port, patience: Patience, audit: Audit = no_audit) -> None:
        self._port = port
        self.patience = patience
        self.audit = audit
        self._was_paused = False

    @contextmanager
    def hold(self, domain: DomainInfo) -> Iterator[Deadline]:
        """Keep one domain to ourselves.

        Raises:
            DomainBusyError: Another program drives it.
            GuardError: There is no guard.
        """
        self._was_paused = domain.is_paused
        yield self.patience.begin()

    def pause(self, domid: int, deadline: Deadline, is_interrupted: Callable[[], bool]) -> None:
        """Take one pause.

        Raises:
            DeadlineError: It was not to be had in time, or a signal came first.
            ChangeError: It cannot be told whether it is held.
        """
        pausing.take(self._port, domid, was_paused=self._was_paused)

    def unpause(self, domid: int) -> Tuple[str, ...]:
        """Give the pause back; see `pausing.give_back` for what it returns and raises."""
        return pausing.give_back(self._port, domid, was_paused=self._was_paused)

    def touching(self, capture: Capture) -> None:
        """The domain is about to be touched; whoever is left puts it back."""

    def settled(self) -> None:
        """The domain is as it shall be, or nobody can do more about it."""

    def put_back(self, left: Left) -> Left:
        """Let the guard put the domain back, when the program could not; what is not as it was then."""
        return left

    def keep(self, capture: Capture, left: Left) -> Tuple[Optional[str], Tuple[str, ...]]:
        """Keep what could not be put back in a file; see `keptfile.keep_or_say`."""
        return None, ("what it was could NOT be kept: a model in memory has no files",) if left else ()

    def close(self) -> None:
        """Nothing is kept any more."""
