# SPDX-License-Identifier: MIT
"""The status channel, dom0 side: one JSON object a line.

The device behind it can be opened once only, so the agent opens it and hands
the descriptor to its children.
"""

import json
import os
import threading
from typing import Optional

FD_VARIABLE = "XENVCPU_LAB_STATUS_FD"

#: A line goes out in one write, which the driver keeps whole up to 32 KiB.
TEXT_LIMIT = 12000


def shorten(text: str, limit: int = TEXT_LIMIT) -> str:
    """Returns ``text``, its middle left out if it is long."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - limit} characters left out ...]\n{text[-half:]}"


class Status:
    """Writes events; may be used from several threads.

    Args:
        fd: An open descriptor, which is not closed.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lock = threading.Lock()

    @classmethod
    def inherited(cls) -> Optional["Status"]:
        """Returns the channel that the agent handed down, or None outside the lab."""
        number = os.environ.get(FD_VARIABLE)
        return cls(int(number)) if number else None

    def send(self, event: str, **fields: object) -> None:
        """Sends one event."""
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self.fd, line) :]
