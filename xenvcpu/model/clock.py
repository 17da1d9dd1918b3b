# SPDX-License-Identifier: MIT
"""The host's TSC: it moves a fixed step with each hypercall, so that every run is the same."""

from __future__ import annotations

from dataclasses import dataclass

MASK = (1 << 64) - 1


@dataclass
class Clock:
    """The TSC of the host.

    Attributes:
        tsc: Ticks since the host booted.
        khz: Ticks per millisecond.
        step: Ticks that one hypercall takes.
    """

    tsc: int = 0x1_0000_0000
    khz: int = 2_400_000
    step: int = 24_000

    def advance(self, ticks: int = 0) -> None:
        """Let time pass: `ticks`, or one step."""
        self.tsc = (self.tsc + (ticks or self.step)) & MASK

    @property
    def nanoseconds(self) -> int:
        """Xen's system time."""
        return self.tsc * 1_000_000 // self.khz
