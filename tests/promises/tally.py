# SPDX-License-Identifier: MIT
"""How the runs of a suite ended, each counted: those that lost something, too."""

from __future__ import annotations

from typing import Callable, Dict, List

from promises.verdicts import Lost, Verdict, tally


class Tally:
    """The endings of some runs.

    Attributes:
        what: As what each run is counted.
        lost: The runs that lost something, and what it was.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.lost: List[str] = []
        self._verdicts: List[Verdict] = []
        self._slowest = -1

    def take(self, name: str, judged: Callable[[], Verdict]) -> None:
        """Count one run: what it is, and how it ended."""
        try:
            self._verdicts.append(judged())
        except Lost as error:
            self.lost.append(f"{name}: {error}")

    def took(self, milliseconds: int) -> None:
        """Note how long it took until all had ended."""
        self._slowest = max(self._slowest, milliseconds)

    @property
    def counts(self) -> Dict[str, int]:
        """For the line of the suite."""
        number, slowest = len(self._verdicts) + len(self.lost), {"at most {} ms": self._slowest}
        found = {self.what: number, **tally(self._verdicts), "lost": len(self.lost)}
        return {**found, **slowest} if self._slowest >= 0 else found

    def require_none_lost(self) -> None:
        """No run lost anything.

        Raises:
            AssertionError: How many did, and what the first one was.
        """
        assert not self.lost, f"{len(self.lost)} of {self.counts[self.what]}, first {self.lost[0]}"
