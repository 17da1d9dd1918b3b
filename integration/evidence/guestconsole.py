# SPDX-License-Identifier: MIT
"""The console of a Linux guest, used as a channel for scripts and their output.

The other end is ``integration/lab/linux/agent.py``, which describes the lines.
"""

import base64
import hashlib
import os
import select
import time
import tty
from typing import List, Optional, Tuple

from integration.evidence import xl
from integration.limits import Limit, run

_CHUNK = 360
_LAST = 3000
#: After so many silent seconds a look whether the guest still lives.
_LOOK = 10.0
#: What each way in may take, and a script that was stopped, until its output is here.
_GRACE = 120.0


class ConsoleError(Exception):
    """The guest did not answer, or not as it should; the text has its last output."""


class _LateError(ConsoleError):
    """Nothing came in time."""


def _terminal_of(domid: int, timeout: float = 60.0) -> str:
    """Returns the path of the pseudo-terminal that xenconsoled opened for a domain."""
    key = f"/local/domain/{domid}/console/tty"
    limit = Limit(timeout)
    while not limit.passed:
        done = run(["xenstore-read", key], 30)
        if done.returncode == 0 and done.stdout.strip():
            return str(done.stdout).strip()
        time.sleep(0.1)
    raise ConsoleError(f"no console for d{domid} within {timeout:g} s")


class GuestConsole:
    """The channel to one guest.

    Args:
        domid: The guest.
    """

    def __init__(self, domid: int) -> None:
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
        self._fd: Optional[int] = os.open(_terminal_of(domid), flags)
        tty.setraw(self._fd)
        self._domid = domid
        self._pending = b""
        self._seen = b""
        self._number = 0
        self._output = b""

    def close(self) -> None:
        """Closes the terminal; may be called again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _send(self, *words: object) -> None:
        assert self._fd is not None
        line = ("@@ " + " ".join(str(word) for word in words) + "\n").encode()
        while line:
            select.select([], [self._fd], [], 10)
            line = line[os.write(self._fd, line) :]

    def _line(self, limit: Limit) -> List[str]:
        assert self._fd is not None
        while b"\n" not in self._pending:
            left = limit.left
            if not left:
                raise _LateError(self._complaint("did not answer in time"))
            if not select.select([self._fd], [], [], min(left, _LOOK))[0]:
                if left > _LOOK:
                    self._demand_alive()
                continue
            data = os.read(self._fd, 4096)
            self._pending += data
            self._seen = (self._seen + data)[-_LAST:]
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode(errors="replace").split()

    def _demand_alive(self) -> None:
        letters = xl.state(self._domid)
        if letters is None or "c" in letters or "s" in letters:
            raise ConsoleError(self._complaint(f"is dead (state {letters})"))

    def _complaint(self, what: str) -> str:
        return f"d{self._domid} {what}; it said last:\n{self.tail()}"

    def tail(self) -> str:
        """Returns the last that the guest printed."""
        return self._seen.decode(errors="replace")

    def await_line(self, word: str, timeout: float, number: int = 0) -> List[str]:
        """Waits for a line of the agent and returns the words after its number.

        Args:
            word: The line's kind.
            timeout: Limit in seconds.
            number: The job that it belongs to; 0 for any.
        """
        limit = Limit(timeout)
        while True:
            words = self._line(limit)
            if words[:2] == ["@@", word] and (not number or words[2] == str(number)):
                return words[3:]

    def run(self, script: str, timeout: float) -> Tuple[int, str]:
        """Runs a script in the guest; returns its exit status and its output."""
        self._number += 1
        data = script.encode()
        for start in range(0, len(data), _CHUNK):
            encoded = base64.b64encode(data[start : start + _CHUNK]).decode()
            self._send("DATA", self._number, encoded)
            self.await_line("ACK", _GRACE, self._number)
        self._send("RUN", self._number)
        self._output = b""
        try:
            return self._collect(Limit(timeout))
        except _LateError:
            self._send("STOP", self._number)
            return self._collect(Limit(_GRACE))

    def _collect(self, limit: Limit) -> Tuple[int, str]:
        while True:
            words = self._line(limit)
            if words[:1] != ["@@"] or words[2:3] != [str(self._number)]:
                continue
            if words[1] == "OUT":
                self._output += base64.b64decode(words[3])
            elif words[1] == "EXIT":
                if hashlib.sha256(self._output).hexdigest() != words[4]:
                    raise ConsoleError(self._complaint("sent garbled output"))
                return int(words[3]), self._output.decode(errors="replace")
