# SPDX-License-Identifier: MIT
"""Measures for how long QEMU has waited for a processor, as the kernel counts it, and lets the emulated host know."""

import glob
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict

from integration.hosttime import SIZE, Page

#: Seconds between two looks. What has just been waited for is known so much later.
PERIOD = 0.02


class Meter:
    """Looks at the threads of a process until it is closed.

    Args:
        pid: The process.
        path: The file that is the page.
    """

    def __init__(self, pid: int, path: Path) -> None:
        self._pid = pid
        self._page = Page(str(path), is_ours=True)
        self._seen = self._threads()
        self._looked = time.monotonic()
        self.waited = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks no more; may be called again."""
        self._is_over.set()
        self._thread.join()

    def now(self) -> float:
        """Returns the emulated host's time."""
        return time.monotonic() - self.waited

    def _run(self) -> None:
        while not self._is_over.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        """Adds what the threads have waited since the last look, but no more than it is ago: they may wait together."""
        threads, now = self._threads(), time.monotonic()
        more = sum(max(0.0, waited - self._seen.get(name, 0.0)) for name, waited in threads.items())
        self.waited += min(more, now - self._looked)
        self._seen, self._looked = threads, now
        self._page.write(self.waited)

    def _threads(self) -> Dict[str, float]:
        """Returns for how many seconds each thread could have run and did not; none where the kernel does not count."""
        found = {}
        for path in glob.glob(f"/proc/{self._pid}/task/*/schedstat"):
            with suppress(OSError, IndexError, ValueError):  # it has just ended, say
                found[path] = int(Path(path).read_text().split()[1]) / 1e9
        return found


def make_page(folder: Path) -> Path:
    """Makes the file that is the page."""
    path = folder / "waited"
    path.write_bytes(bytes(SIZE))
    return path
