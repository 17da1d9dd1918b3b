# SPDX-License-Identifier: MIT
"""The time of an emulated host: seconds, but for those in which QEMU waited for a processor.

An emulated host sees the clock of the machine that emulates it, and on a busy one it does less in each second. So the
lab writes for how long QEMU has waited into a page of memory that the host's dom0 has as a PCI device. Where there is
no such page these are the seconds of the clock.
"""

import glob
import mmap
import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Optional

#: On this side of an emulated host the file that is the page; in its dom0 the device is looked for.
VARIABLE = "XENVCPU_LAB_WAITED"
#: Size of the page; as a PCI device has it, a power of two.
SIZE = 1 << 16
_DEVICES = "/sys/bus/pci/devices/*"
_IVSHMEM = {"vendor": "0x1af4", "device": "0x1110"}
_MAGIC = 0x6465746961775658


class Page:
    """The page, mapped.

    Args:
        path: A file of ``SIZE`` bytes, or the resource of a PCI device.
        is_ours: Whether we are the one that writes it.
    """

    def __init__(self, path: str, is_ours: bool = False) -> None:
        with open(path, "r+b") as file:
            access = mmap.ACCESS_WRITE if is_ours else mmap.ACCESS_READ
            self._words = memoryview(mmap.mmap(file.fileno(), SIZE, access=access)).cast("Q")
        if is_ours:
            self._words[0] = _MAGIC

    @property
    def is_kept(self) -> bool:
        """Whether the lab writes it."""
        return self._words[0] == _MAGIC

    def read(self) -> float:
        """Returns for how many seconds QEMU has waited."""
        return self._words[1] / 1e9

    def write(self, seconds: float) -> None:
        """Says for how many seconds QEMU has waited."""
        self._words[1] = int(seconds * 1e9)


def _device() -> Optional[str]:
    for folder in sorted(glob.glob(_DEVICES)):
        with suppress(OSError):
            if all(Path(folder, name).read_text().strip() == value for name, value in _IVSHMEM.items()):
                Path(folder, "enable").write_text("1")
                return f"{folder}/resource2"
    return None


@lru_cache(maxsize=None)
def _page() -> Optional[Page]:
    path = os.environ.get(VARIABLE) or _device()
    with suppress(OSError, ValueError):
        page = Page(path) if path else None
        return page if page and page.is_kept else None
    return None


def is_known() -> bool:
    """Says whether the host is emulated and the lab counts its time."""
    return _page() is not None


def waited() -> float:
    """Returns for how many seconds QEMU has waited for a processor; 0 where the lab does not say."""
    page = _page()
    return page.read() if page else 0.0


def now() -> float:
    """Returns the host's time, in seconds since whenever."""
    return time.monotonic() - waited()
