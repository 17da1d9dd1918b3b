# SPDX-License-Identifier: MIT
"""A guard that is forked: the same but for the second and a half that a new Python takes under emulation.

Where counts are brisk all guards of the suites' own process are: those that are programs, as everywhere
outside the lab, are then those of toolstacks and those that the suites of kills and endurance ask for.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress

from xenvcpu import __version__
from xenvcpu.audit import syslog
from xenvcpu.deadline import DEFAULT
from xenvcpu.guard import folders, process
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.keeper import GuardedKeeper
from xenvcpu.guard.main import main
from xenvcpu.guard.process import GuardProcess
from xenvcpu.host import Host

SPEC = "dom0"
_PROGRAM = process.start


def give(host: Host) -> None:
    """Lets a host that has changed nothing yet have guards of this kind."""
    kept = folders.HOST.kept
    host.keeper = GuardedKeeper(host.dom0, DEFAULT, folders.HOST, lambda: start(SPEC, kept), syslog)


def give_all() -> None:
    """Lets every host of this process and of its forks have guards of this kind."""
    process.start = start


def give_programs() -> None:
    """Takes that back."""
    process.start = _PROGRAM


def _keep_only(*descriptors: int) -> None:
    """Closes what another program would not get: a copy of the domain's lock, above all."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in descriptors:
            with suppress(OSError):  # that of the folder itself
                os.close(int(name))


def start(spec: str, folder: str) -> GuardProcess:
    """Does what ``xenvcpu.guard.process.start`` does, without another program."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    journal = Journal()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            _keep_only(theirs.fileno(), journal.descriptor)
            main(theirs.detach(), journal.descriptor, spec, folder, __version__)
        finally:
            os._exit(0)
    theirs.close()

    def end(patience: float) -> None:
        if not patience:
            os.kill(pid, signal.SIGKILL)
        last = time.monotonic() + (patience or 60.0)
        with suppress(ChildProcessError):  # it was waited for before
            while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < last:
                time.sleep(0.005)

    return GuardProcess(ours, journal, end)
