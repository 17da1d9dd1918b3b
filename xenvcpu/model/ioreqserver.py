# SPDX-License-Identifier: MIT
"""What a device model has of a domain: the page in which vcpus ask it for accesses to emulated devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Tuple

from xenvcpu.abi import ioreq
from xenvcpu.model.memory import PAGE


@dataclass
class IoreqServer:
    """An ioreq server.

    Attributes:
        emulator: The domain in which the device model runs.
        is_in_guest: Whether its page is one of the guest's memory, as old device models have it.
        page: A `struct ioreq` for each vcpu.
        answers_after: How often the domain has to be unpaused until all accesses are over; None for a device model
            that hangs.
    """

    emulator: int = 0
    is_in_guest: bool = False
    page: bytearray = field(default_factory=lambda: bytearray(PAGE))
    answers_after: Optional[int] = None

    def ask(self, vcpuid: int, access: bytes = ioreq.encode(ioreq.STATE_READY)) -> None:
        """Let a vcpu ask for an access."""
        self.page[vcpuid * ioreq.SIZE : (vcpuid + 1) * ioreq.SIZE] = access

    def run(self) -> None:
        """Let the domain run on: its device model answers, and its vcpus take the answers."""
        if self.answers_after is not None:
            self.answers_after -= 1
            if self.answers_after <= 0:
                self.page[:], self.answers_after = bytes(len(self.page)), None

    @property
    def waiting(self) -> Tuple[int, ...]:
        """The vcpus that are in the middle of an access."""
        return ioreq.waiting(bytes(self.page))
