# SPDX-License-Identifier: MIT
"""The status channel, host side: what the emulated dom0 says, line by line."""

import json
import os
import select
from dataclasses import dataclass
from typing import IO, Iterator, Mapping, Optional, Tuple

from integration.limits import Limit


@dataclass(frozen=True)
class Event:
    """One line of the channel.

    Attributes:
        kind: ``ready``, ``alive``, ``guest``, ``collected``, ``begin``, ``test``,
            ``output``, ``stretched``, ``expired``, ``play``, ``broken`` or ``done``.
        fields: The rest of it.
    """

    kind: str
    fields: Mapping[str, object]

    def text(self, name: str) -> str:
        """Returns a field as text, empty if it is missing."""
        return str(self.fields.get(name, ""))

    def number(self, name: str) -> float:
        """Returns a field as a number, 0 if it is missing."""
        value = self.fields.get(name, 0)
        return float(value) if isinstance(value, (int, float)) else 0.0

    def pairs(self, name: str) -> Tuple[Tuple[str, object], ...]:
        """Returns a field that lists names and values; none if it is missing."""
        value = self.fields.get(name)
        listed = value if isinstance(value, list) else []
        return tuple((str(key), value) for key, value in listed)


def parse(line: bytes) -> Optional[Event]:
    """Returns the event in a line, or None if the line is damaged."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return None
    return Event(fields.pop("event"), fields)


def read_events(stream: IO[bytes], silence: Limit) -> Iterator[Event]:
    """Yields events until the stream ends or the limit has passed.

    The reader of the events moves the limit as it sees fit.
    """
    descriptor = stream.fileno()
    pending = b""
    while not silence.passed:
        if not select.select([descriptor], [], [], silence.left)[0]:
            continue
        data = os.read(descriptor, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            event = parse(line)
            if event is not None:
                yield event
