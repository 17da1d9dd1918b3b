# SPDX-License-Identifier: MIT
"""The memory of a tiny guest: what its boot vcpu tells there, and what it is asked there.

Whoever created the guest, this is how it is looked at.
"""

import struct
from typing import List

from integration.evidence import xl
from integration.evidence.foreign import GuestMemory
from integration.evidence.stubs import await_true
from integration.guest import layout

_START_LIMIT = 60.0
_SCHED_OP, _SHUTDOWN, _REBOOT = 29, 2, 1


class TinyMemory:
    """A tiny guest's memory.

    Attributes:
        name: The guest's name.
        domid: Its domid.
        memory: Its guest-physical memory.
    """

    name: str
    domid: int
    memory: GuestMemory

    def _field(self, offset: int) -> int:
        return self.memory.read_word(layout.MAILBOX + offset)

    def _set(self, offset: int, value: int) -> None:
        self.memory.write_word(layout.MAILBOX + offset, value & 0xFFFFFFFF)

    def _alive(self) -> bool:
        return self._field(layout.MB_MAGIC) == layout.MAGIC and self.beat() > 1

    def _beats_yet(self) -> bool:
        """As ``_alive``, of a domain that has its name already, and perhaps no memory."""
        try:
            return self._alive()
        except OSError:
            return False

    def beat(self) -> int:
        """Returns the beat counter, which grows while the boot vcpu runs."""
        return self._field(layout.MB_BEAT)

    def await_beats(self, count: int = 3, timeout: float = 30.0) -> int:
        """Waits for so many more beats and returns the counter.

        Raises:
            StubError: The boot vcpu does not run.
        """
        first = self.beat()
        await_true(
            lambda: (self.beat() - first) & 0xFFFFFFFF >= count,
            f"the boot vcpu of {self.name} does not beat",
            timeout,
        )
        return self.beat()

    def up_at_first(self) -> List[int]:
        """Returns the other vcpus that were up when the boot vcpu had done next to nothing; vcpus 1 to 7."""
        seen = self._field(layout.MB_UP_FIRST)
        return [vcpuid for vcpuid in range(1, layout.UP_FIRST_LAST + 1) if seen >> vcpuid & 1]

    def tsc(self) -> int:
        """Returns the boot vcpu's TSC at its last beat."""
        first = self.memory.read_word(layout.MAILBOX + layout.MB_TSC, 8)
        while True:  # written in two halves
            again = self.memory.read_word(layout.MAILBOX + layout.MB_TSC, 8)
            if again >> 32 == first >> 32:
                return first
            first = again

    def announced(self, vcpuids: int) -> List[int]:
        """Returns what so many vcpus have stored where ``announcing`` lets them."""
        return list(struct.unpack(f"<{vcpuids}I", self.memory.read(layout.ANNOUNCED, 4 * vcpuids)))

    def await_announced(self, expected: List[int], timeout: float = 30.0) -> None:
        """Waits until the vcpus have announced themselves, beginning with vcpu 0, which does not.

        Raises:
            StubError: They do not.
        """
        await_true(
            lambda: self.announced(len(expected))[1:] == expected[1:],
            f"the vcpus of {self.name} did not announce themselves: {self.announced(len(expected))}",
            timeout,
        )

    def ask(self, op: int, *arguments: int) -> int:
        """Asks the boot vcpu for a hypercall, as ``hypercall``, and returns the number of the request."""
        self._set(layout.MB_OP, op)
        for number in range(5):
            value = arguments[number] if number < len(arguments) else 0
            self._set(layout.MB_ARGS + 4 * number, value)
        sequence = (self._field(layout.MB_REQUEST) + 1) & 0xFFFFFFFF
        self._set(layout.MB_REQUEST, sequence)
        return sequence

    def reboot(self) -> None:
        """Lets the guest's software ask for a reboot."""
        self.memory.write(layout.ARGUMENT, _REBOOT.to_bytes(4, "little"))
        self.ask(_SCHED_OP, _SHUTDOWN, layout.ARGUMENT)


class FoundGuest(TinyMemory):
    """A running tiny guest that something else has created.

    Args:
        name: Its name, as Xen's tools know it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.domid = xl.domid(name)
        self.memory = GuestMemory(self.domid)
        await_true(self._beats_yet, f"{name} did not start to beat", _START_LIMIT)

    def close(self) -> None:
        """Gives its memory back; the guest stays."""
        self.memory.close()
