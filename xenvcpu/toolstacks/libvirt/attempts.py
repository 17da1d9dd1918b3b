# SPDX-License-Identifier: MIT
"""Domains whose vcpus are yet to be started, and when to try each again."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional
from uuid import UUID

FIRST, LONGEST = 1.0, 60.0
"""Seconds: the first delay, which doubles, and the longest."""

TRIES = 10
"""About five minutes in all; what has not helped by then needs a person."""


def delay_after(failures: int) -> float:
    """The seconds to wait after so many failures in a row."""
    return min(FIRST * 2.0 ** min(failures - 1, 30), LONGEST)


class _Attempt(NamedTuple):
    due: float
    failures: int = 0


class Attempts:
    """What is to be tried, by the domain's UUID.

    Synchronization: for one thread.
    """

    def __init__(self) -> None:
        self._waiting: Dict[UUID, _Attempt] = {}

    def add(self, handle: UUID, now: float) -> None:
        """Try a domain that has just begun; what there was before was about one that is gone."""
        self._waiting[handle] = _Attempt(now)

    def look(self, handle: UUID, now: float) -> None:
        """Try it now, unless it is to be tried anyway."""
        self._waiting.setdefault(handle, _Attempt(now))

    def drop(self, handle: UUID) -> None:
        """Try it no more."""
        self._waiting.pop(handle, None)

    def due(self, now: float) -> List[UUID]:
        """What is to be tried now."""
        return [handle for handle, attempt in self._waiting.items() if attempt.due <= now]

    def put_off(self, handle: UUID, now: float) -> Optional[float]:
        """It failed.

        Returns:
            The seconds until it is tried again; None if it is given up.
        """
        failures = self._waiting[handle].failures + 1
        if failures >= TRIES:
            self.drop(handle)
            return None
        delay = delay_after(failures)
        self._waiting[handle] = _Attempt(now + delay, failures)
        return delay

    @property
    def next(self) -> Optional[float]:
        """When something is due; None if nothing is to be tried."""
        return min((attempt.due for attempt in self._waiting.values()), default=None)
