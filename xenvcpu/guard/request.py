# SPDX-License-Identifier: MIT
"""What a program asks of its guard: one byte; all else is in the journal."""

from __future__ import annotations

import enum
from typing import Optional

REQUEST_SIZE = 1


class Request(enum.Enum):
    """A request; each is answered with one JSON document, empty when it was done."""

    PAUSE = b"p"
    UNPAUSE = b"u"
    PUT_BACK = b"b"

    @classmethod
    def unpack(cls, data: bytes) -> Optional[Request]:
        """The request of a message; None for one that is none, which ends the service."""
        try:
            return cls(data)
        except ValueError:
            return None
