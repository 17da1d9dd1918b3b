# SPDX-License-Identifier: MIT
"""A vcpu beside the boot vcpu that watches its own registers, as the boot vcpu does."""

import struct

from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest, Watch
from integration.guest import layout


class Watcher:
    """The program ``watch64`` on one vcpu; it is for 64-bit code.

    Args:
        guest: The guest.
        vcpuid: The vcpu, not started yet.
        avx: Whether it watches the YMM registers, not only XMM; it needs CR4.OSXSAVE then.

    Attributes:
        entry: Where the vcpu is to be started.
    """

    def __init__(self, guest: TinyGuest, vcpuid: int, avx: bool = False) -> None:
        self.entry = guest.stubs.place_program("watch64.bin", vcpuid)
        self._memory = guest.memory
        self._page = self.entry + layout.PAGE
        self._name = f"vcpu {vcpuid} of {guest.name}"
        self._memory.write_word(self._page + layout.WT_AVX, int(avx))

    def watch(self) -> Watch:
        """Returns what it noticed so far."""
        rounds, errors, last, back = struct.unpack("<4I", self._memory.read(self._page, 16))
        return Watch(rounds, errors, layout.WATCH_NAMES[last] if errors else "none", back)

    def await_rounds(self, count: int) -> Watch:
        """Waits for so many more rounds and returns what it noticed.

        Raises:
            StubError: It does not run.
        """
        first = self.watch()
        wanted = first.rounds + first.errors + count

        def is_there() -> bool:
            now = self.watch()
            return now.rounds + now.errors >= wanted

        await_true(is_there, f"{self._name} does not watch itself", 60)
        return self.watch()
