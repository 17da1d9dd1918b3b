# SPDX-License-Identifier: MIT
"""Signals that wait: between the calls of a change they would leave half of it done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List

_WAITING = frozenset((
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGALRM,
))
"""Signals that end or stop a process."""


class HeldSignals:
    """The signals that came meanwhile."""

    def __init__(self) -> None:
        self._came: List[int] = []

    def note(self, number: int, frame: object) -> None:
        """Stand in for a handler."""
        self._came.append(number)

    def is_due(self) -> bool:
        """Whether one waits."""
        return bool(self._came or signal.sigpending() & _WAITING)

    def deliver(self) -> None:
        """Let them come now."""
        came, self._came = self._came, []
        for number in came:
            signal.raise_signal(number)


@contextmanager
def held_signals() -> Iterator[HeldSignals]:
    """Have them delivered to this thread when the block is over.

    Blocked in this thread, one may still come to another; Python then runs its handler in the
    main thread all the same. So the handlers that are Python's wait too.
    """
    held = HeldSignals()
    handlers: Dict[int, Any] = {}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)
        if threading.current_thread() is threading.main_thread():
            for number in _WAITING:
                if callable(signal.getsignal(number)):
                    handlers[number] = signal.signal(number, held.note)
        yield held
    finally:
        for replaced, handler in handlers.items():
            signal.signal(replaced, handler)
        held.deliver()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
