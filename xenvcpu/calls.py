# SPDX-License-Identifier: MIT
"""What a change of a domain asks of Xen, once the domain has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from xenvcpu.abi.save_stream import Record


@dataclass(frozen=True)
class Calls:
    """The calls of a change: the load, and then the resets.

    Attributes:
        stream: The save stream to load; None for no load.
        resets: The vcpus to make down and fresh.
        new: The CPU records of vcpus that come up.
        woken: Those of them that are down asleep: they are made fresh before the load, or it would not let them run.
    """

    stream: Optional[bytes]
    resets: Tuple[int, ...] = ()
    new: Sequence[Record] = ()
    woken: Tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask."""
        return self.stream is None and not self.resets

    @property
    def vcpuids(self) -> Tuple[int, ...]:
        """The vcpus that are changed, in order."""
        return tuple(sorted({*self.resets, *(record.instance for record in self.new)}))
