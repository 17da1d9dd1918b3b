# SPDX-License-Identifier: MIT
"""Where the guard process begins."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress

from xenvcpu import __version__
from xenvcpu.audit import no_audit, syslog
from xenvcpu.errors import GuardError
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.server import GuardServer
from xenvcpu.ports.dom0 import Dom0Port

NAME = "xenvcpu-guard"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGPIPE)
_MODEL = "model:"


def main(channel: int, journal: int, spec: str, folder: str, version: str) -> None:
    """Guard until the program at the other end of the channel is gone."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _write("/proc/self/comm", NAME)
    # Without it the kernel, short of memory, might take the guard for its program.
    _write("/proc/self/oom_score_adj", "-1000")
    audit = no_audit if spec.startswith(_MODEL) else syslog
    GuardServer(lambda: _open(spec, version), socket.socket(fileno=channel), Journal(journal), audit, folder).serve()


def _write(path: str, text: str) -> None:
    with suppress(OSError), open(path, "w", encoding="ascii") as file:
        file.write(text)


def _open(spec: str, version: str) -> Dom0Port:
    if version != __version__:
        raise GuardError(f"xenvcpu {__version__} is installed by now, and the program runs {version}: start it anew")
    if spec.startswith(_MODEL):
        from xenvcpu.model import open_model

        libraries = open_model(spec[len(_MODEL) :])
        return Dom0Port(libraries)  # type: ignore[arg-type]
    from xenvcpu.libraries import Libraries

    return Dom0Port(Libraries())
