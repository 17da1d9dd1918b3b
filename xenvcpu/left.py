# SPDX-License-Identifier: MIT
"""What could not be put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

CRASHED = "the domain has crashed"
SHUT_DOWN = "the domain has shut down, as after a triple fault"
DONE = "all that was asked for is done"
"""What is said first of a change that is done, and whose pause is not given back as it should be."""


@dataclass(frozen=True)
class Left:
    """What is not as it was captured; nothing, when all is empty.

    Attributes:
        down: The vcpus that were online and are down.
        surplus: The vcpus that were fresh and are online or initialised.
        other: What else, one line each; what is wrong with the look itself, too.
        is_crashed: Whether the domain has crashed, so that nothing can be brought back.
        is_known: Whether `down` and `surplus` were seen; otherwise they are all that there may be.
    """

    down: Tuple[int, ...] = ()
    surplus: Tuple[int, ...] = ()
    other: Tuple[str, ...] = ()
    is_crashed: bool = False
    is_known: bool = True

    def __bool__(self) -> bool:
        return bool(self.down or self.surplus or self.other or self.is_crashed)

    @property
    def is_recoverable(self) -> bool:
        """Whether there is something left, and a domain that can be brought back."""
        return bool(self) and not self.is_crashed

    @property
    def lines(self) -> Tuple[str, ...]:
        """All of it in words, one line each."""
        may = "is" if self.is_known else "may be"
        return (
            *((CRASHED,) if self.is_crashed else ()),
            *(f"vcpu {vcpuid} {may} down, and was online" for vcpuid in self.down),
            *(f"vcpu {vcpuid} {may} initialised, and was fresh" for vcpuid in self.surplus),
            *self.other,
        )

    def as_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {
            "down": list(self.down), "surplus": list(self.surplus), "other": list(self.other),
            "is_crashed": self.is_crashed, "is_known": self.is_known,
        }

    @classmethod
    def from_dict(cls, found: Any) -> Left:
        """Read what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It was not.
        """
        vcpuids = [tuple(found[name]) for name in ("down", "surplus")]
        other, flags = tuple(found["other"]), [found[name] for name in ("is_crashed", "is_known")]
        if not all(type(number) is int and 0 <= number < 1 << 16 for each in vcpuids for number in each):
            raise ValueError("not vcpuids")
        if not all(type(line) is str for line in other) or not all(type(flag) is bool for flag in flags):
            raise ValueError("not sentences, or not flags")
        return cls(vcpuids[0], vcpuids[1], other, *flags)
