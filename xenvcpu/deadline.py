# SPDX-License-Identifier: MIT
"""How long an operation may take before it touches the domain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable

from xenvcpu.errors import DeadlineError

TIMEOUT = 30.0
"""Seconds; an operation takes milliseconds, unless a migration or another tool has Xen or the domain busy."""


def _say_nothing(message: str) -> None:
    pass


@dataclass(frozen=True)
class Patience:
    """How long to wait, and whom to tell.

    Attributes:
        timeout: Seconds until an operation gives up, counted from its beginning; what has begun to change the domain
            is always brought to an end.
        waits: Whether to wait for another program that drives the domain at all.
        tell: Is given a sentence when a wait begins, or when something went wrong and was mended.
    """

    timeout: float = TIMEOUT
    waits: bool = True
    tell: Callable[[str], None] = _say_nothing

    def begin(self) -> Deadline:
        """The deadline of an operation that begins now."""
        return Deadline(self.timeout, time.monotonic() + self.timeout)


DEFAULT = Patience()


@dataclass(frozen=True)
class Deadline:
    """When an operation gives up.

    Attributes:
        timeout: The seconds that it was given.
        at: The end, on the clock of `time.monotonic`.
    """

    timeout: float
    at: float

    @property
    def left(self) -> float:
        """The seconds that are left; zero when there are none."""
        return max(0.0, self.at - time.monotonic())

    def check(self, step: str, domid: int) -> None:
        """Go on, if there is time after some step.

        Raises:
            DeadlineError: There is none.
        """
        if not self.left:
            raise self.over(step, domid)

    def over(self, step: str, domid: int) -> DeadlineError:
        """The error for an operation that ran out of time in some step."""
        return DeadlineError(
            f"domain {domid}: {self.timeout:g} s were over while {step}; nothing was touched. A guard takes a moment to"
            " start, and Xen answers late while a domain is migrated, saved or built: give a longer --timeout",
            domid=domid,
        )
