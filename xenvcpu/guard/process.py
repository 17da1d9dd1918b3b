# SPDX-License-Identifier: MIT
"""The guard as a process: how it is started, and what the program has of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from xenvcpu.errors import GuardError
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.request import Request

_REPLY_SIZE = 1 << 16
_END = 1.0
"""Seconds that a guard has to end when nothing is left for it to do."""

_ours: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_in_child() -> None:
    """A fork of the program is not the program: with a copy of the channel it would seem to live on."""
    for channel in _ours:
        channel.close()


os.register_at_fork(after_in_child=_close_in_child)

_BOOT = """
import json, sys
told = json.loads(sys.argv[1])
sys.path += told.pop("path")
from xenvcpu.guard.main import main
main(**told)
"""


class GuardLost(Exception):
    """The guard has died, or does not answer any more."""


class GuardProcess:
    """A guard that runs, and the channel to it.

    Attributes:
        journal: What both know.

    Synchronization: one request at a time.
    """

    def __init__(self, channel: socket.socket, journal: Journal, end: Callable[[float], None]) -> None:
        """Take over what `start` made.

        Args:
            channel: To the guard.
            journal: What both know.
            end: Ends it: waits that many seconds for it, or with 0 kills it at once.
        """
        self._channel = channel
        self._end = end
        _ours.add(channel)
        self.journal = journal

    def ask(self, request: Request, timeout: float, lock: Optional[int] = None) -> Dict[str, Any]:
        """Ask for something, with the lock's descriptor to hold on to.

        Raises:
            GuardLost: It has died.
            TimeoutError: It has not answered in time.
        """
        self._channel.settimeout(max(timeout, 0.001))
        try:
            if lock is None:
                self._channel.send(request.value)
            else:
                socket.send_fds(self._channel, [request.value], [lock])
            data = self._channel.recv(_REPLY_SIZE)
        except socket.timeout as error:  # TimeoutError itself from 3.10 on
            raise TimeoutError from error
        except OSError as error:
            raise GuardLost from error
        if not data:
            raise GuardLost
        answer: Dict[str, Any] = json.loads(data)
        return answer

    def kill(self) -> None:
        """Kill it, and wait until it is dead: it makes no hypercall any more."""
        self._end(0.0)

    def close(self, patience: float = _END) -> None:
        """Let it end, and wait for that so many seconds; what is left to do it does first."""
        self._channel.close()
        self._end(patience)
        self.journal.close()


def start(spec: str, folder: str) -> GuardProcess:
    """Start a guard.

    Args:
        spec: The host that it opens, as `--host` names it.
        folder: Where a capture that it cannot put back is kept.

    Raises:
        GuardError: The system refuses a process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        journal = Journal()
        told = {"channel": theirs.fileno(), "journal": journal.descriptor, "spec": spec, "folder": folder}
        command = [_python(), "-I", "-S", "-c", _BOOT, json.dumps({**told, "path": _path()})]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            pass_fds=(theirs.fileno(), journal.descriptor), start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise GuardError(f"the guard process cannot be started: {error.strerror}; nothing was touched") from error
    finally:
        theirs.close()

    def end(patience: float) -> None:
        if not patience:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience or None)

    return GuardProcess(ours, journal, end)


def _python() -> str:
    """The interpreter; one that is embedded in another program is not its own executable."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if "python" in os.path.basename(sys.executable or ""):
        return sys.executable
    return os.path.join(sys.base_exec_prefix, "bin", name)


def _path() -> list[str]:
    """Where the guard finds this package and cffi: it starts without site-packages, which saves half of its time."""
    places = (sys.modules[name].__file__ for name in ("xenvcpu", "_cffi_backend"))
    package, backend = (Path(place or "").resolve() for place in places)
    return list(dict.fromkeys((str(package.parents[1]), str(backend.parent))))
