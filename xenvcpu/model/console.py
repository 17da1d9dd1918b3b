# SPDX-License-Identifier: MIT
"""Xen's console ring, as `xl dmesg` and xc_readconsolering see it.

Source: read_console_ring and gprintk (drivers/char/console.c, Xen 4.17).
"""

from __future__ import annotations

from typing import List, Tuple

SIZE = 16384
_INDEX_MASK = 0xFFFFFFFF


class Console:
    """The last 16 KiB that Xen printed.

    Attributes:
        produced: How many bytes were ever printed; the index of `read` counts in these.
        cleared: Where a read that is not incremental starts.
    """

    def __init__(self, text: str = "") -> None:
        self._ring = bytearray()
        self.produced = 0
        self.cleared = 0
        self._booted = 0
        self._append(text)

    def _append(self, text: str) -> None:
        data = text.encode()
        self._ring += data
        self.produced += len(data)
        del self._ring[:-SIZE]

    def print(self, line: str) -> None:
        """Print one line as Xen does: with its prefix."""
        self._append(f"(XEN) {line}\n")

    def boot(self, banner: str) -> None:
        """Print what Xen does at first: its version, as in the builds of distributions, which have no large letters."""
        self.print(banner)
        self._booted = self.produced

    def read(self, most: int, index: int = 0, *, incremental: bool = False, clear: bool = False) -> Tuple[bytes, int]:
        """Read from the ring (XEN_SYSCTL_readconsole).

        Args:
            most: The size of the caller's buffer.
            index: Where the last read ended.
            incremental: Start at `index` if that is still in the ring.
            clear: Forget what was read.

        Returns:
            The bytes, and the index to go on from.
        """
        start = max(self.cleared, self.produced - len(self._ring))
        if incremental and start < index <= self.produced:
            start = index
        offset = start - (self.produced - len(self._ring))
        data = bytes(self._ring[offset : offset + most])
        end = start + len(data)
        if clear:
            self.cleared = end
        return data, end & _INDEX_MASK

    @property
    def text(self) -> str:
        """All that is in the ring."""
        return self._ring.decode("utf-8", "replace")

    @property
    def lines(self) -> List[str]:
        """The lines in the ring, with Xen's prefix, but for those of its boot."""
        booted = self._booted - (self.produced - len(self._ring))
        return self._ring[max(booted, 0) :].decode("utf-8", "replace").splitlines()
