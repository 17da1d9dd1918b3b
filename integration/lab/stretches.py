# SPDX-License-Identifier: MIT
"""Limits that were stretched, and for how long hosts waited for a processor: what a run says of it in the end."""

from dataclasses import dataclass
from typing import Iterable, List, Mapping, Tuple

from integration.lab.events import Event


@dataclass(frozen=True)
class Stretch:
    """A limit that took longer by the clock than it has seconds.

    Attributes:
        test: In which test; empty if it is one of the lab's own.
        limit: Its seconds of the host's time.
        clock: How long it took by the clock.
    """

    test: str
    limit: float
    clock: float

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "Stretch":
        """Returns what an event tells."""
        event = Event("stretched", fields)
        return cls(event.text("test"), event.number("limit"), event.number("clock"))

    def words(self) -> str:
        """Returns a line on it."""
        return f"{self.test or 'the host'}: {self.limit:g} s took {self.clock:.1f} s"


@dataclass
class Hours:
    """How long hosts were there, and of that waited for a processor."""

    clock: float = 0.0
    waited: float = 0.0


def lines(hosts: Iterable[Tuple[str, Hours, Iterable[Stretch]]]) -> List[str]:
    """Returns what there is to say of hosts, each with its name."""
    hours, found = Hours(), []
    for name, one, stretches in hosts:
        hours.clock, hours.waited = hours.clock + one.clock, hours.waited + one.waited
        found += [(stretch.clock - stretch.limit, f"{name}: {stretch.words()}") for stretch in stretches]
    most = f", by {max(over for over, _ in found):.1f} s at most" if found else ""
    said = f"limits stretched: {len(found)}{most}"
    said += f"; hosts waited for a processor for {hours.waited:.0f} of {hours.clock:.0f} s"
    return [said, *(f"  {line}" for _, line in sorted(found, reverse=True))]
