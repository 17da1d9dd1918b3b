# SPDX-License-Identifier: MIT
"""Signals that wait: between the calls of a change they would leave half of it done."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import Iterator

_WAITING = frozenset((
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGALRM,
))
"""Signals that end or stop a process."""


@contextmanager
def held_signals() -> Iterator[None]:
    """Have them delivered to this thread when the block is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
