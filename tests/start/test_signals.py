# SPDX-License-Identifier: MIT
"""Signals that wait while a domain is paused."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import List, Set

import pytest

from xenvcpu.heldsignals import held_signals

WAITING = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGALRM}
HOLD = """
import os, resource, signal
from xenvcpu.heldsignals import held_signals
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal(signal.SIGINT, signal.SIG_DFL)
with held_signals() as held:
    assert not held.is_due()
    for number in {numbers}:
        os.kill(os.getpid(), number)
    print(held.is_due(), flush=True)
print("lives on", flush=True)
"""


@pytest.mark.parametrize("number", sorted(WAITING - {signal.SIGTSTP}), ids=lambda number: number.name)
def test_a_signal_that_ends_a_process_does_so_after_the_pause(number: signal.Signals) -> None:
    code = HOLD.format(numbers=[int(number)])
    ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (-number, "True\n")


def test_a_thread_blocks_all_that_ends_or_stops_a_process_and_no_longer() -> None:
    blocked: List[Set[signal.Signals]] = []

    def look() -> None:
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        with held_signals():
            blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert blocked[1] - blocked[0] == WAITING and blocked[2] == blocked[0]


def test_a_handler_waits_too_for_a_signal_that_comes_to_another_thread() -> None:
    """Python runs it in the main thread, where the signal is blocked."""
    came: List[int] = []
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    before = signal.signal(signal.SIGALRM, lambda number, frame: came.append(number))
    other.start()
    try:
        with held_signals() as held:
            assert other.ident is not None
            signal.pthread_kill(other.ident, signal.SIGALRM)
            over.wait(0.2)
            assert (held.is_due(), came) == (True, [])
        assert came == [signal.SIGALRM]
    finally:
        over.set()
        other.join()
        signal.signal(signal.SIGALRM, before)
