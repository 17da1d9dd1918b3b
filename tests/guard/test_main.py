# SPDX-License-Identifier: MIT
"""How a guard process sets itself up, in this process: the program has asked for a pause, and is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import closing
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from xenvcpu import __version__
from xenvcpu.audit import Audit, no_audit, syslog
from xenvcpu.guard import main as mains
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.request import Request
from xenvcpu.guard.server import GuardServer
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries

SIGNALS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGPIPE}


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[List[Tuple[str, str]]]:
    """What is written to files of the kernel; this process gets its signals back."""
    found: List[Tuple[str, str]] = []
    monkeypatch.setattr(mains, "_write", lambda path, text: found.append((path, text)))
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield found
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def audits(monkeypatch: pytest.MonkeyPatch) -> List[Audit]:
    """The audits that servers are given; what ends with a guard's process is closed here."""
    found: List[Audit] = []

    class Served(GuardServer):
        def serve(self) -> None:
            found.append(self._audit)
            with self._channel, closing(self._journal):
                super().serve()

    monkeypatch.setattr(mains, "GuardServer", Served)
    return found


def answer(spec: str, version: str = __version__) -> Dict[str, Any]:
    """What a guard answers to the request for a pause."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    journal = Journal()
    with ours:
        ours.send(Request.PAUSE.value)
        ours.shutdown(socket.SHUT_WR)
        mains.main(theirs.detach(), os.dup(journal.descriptor), spec, "/nowhere", version)
        journal.close()
        found: Dict[str, Any] = json.loads(ours.recv(1 << 16))
    return found


def test_a_guard_hears_no_signal_and_blocks_none() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    answer("model:pvh")
    assert all(signal.getsignal(number) is signal.SIG_IGN for number in SIGNALS)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_guard_has_its_name_and_is_the_last_that_a_kernel_short_of_memory_takes(
    written: List[Tuple[str, str]]
) -> None:
    answer("model:pvh")
    assert written == [("/proc/self/comm", "xenvcpu-guard"), ("/proc/self/oom_score_adj", "-1000")]


def test_a_guard_of_another_version_serves_nothing() -> None:
    assert "and the program runs 0.0.0" in answer("model:pvh", "0.0.0")["message"]


def test_a_guard_of_a_model_logs_nothing(audits: List[Audit]) -> None:
    answer("model:pvh")
    assert audits == [no_audit]


def test_a_guard_of_a_real_host_opens_it_and_logs_what_it_does(
    audits: List[Audit], monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = ModelLibraries(worlds.pvh())
    monkeypatch.setattr("xenvcpu.libraries.Libraries", lambda: libraries)
    answer("dom0")
    assert audits == [syslog] and libraries.counts["xc_interface_open"] == 1 and libraries.leaks == {}
