# SPDX-License-Identifier: MIT
"""The guard as a process: how it is started, and what the program has of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import weakref
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from xenvcpu import __version__
from xenvcpu.errors import GuardError
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.request import Request

_REPLY_SIZE = 1 << 16
_SLICE = 0.1
"""Seconds after which one who waits for an answer looks whether it is to go on waiting."""
_END = 1.0
"""Seconds that a guard has to end when nothing is left for it to do."""

_ours: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_ending: List[subprocess.Popen[bytes]] = []
"""Guards that were let go and had not ended in time: they end by themselves, and are waited for with the next."""


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

    def ask(
        self, request: Request, timeout: float, lock: Optional[int] = None,
        is_interrupted: Callable[[], bool] = bool,
    ) -> Dict[str, Any]:
        """Ask for something, with the lock's descriptor to hold on to.

        Raises:
            GuardLost: It has died.
            TimeoutError: It has not answered in time, or a signal came first. It must be asked nothing more.
        """
        until = time.monotonic() + timeout
        try:
            self._channel.settimeout(_SLICE)
            if lock is None:
                self._channel.send(request.value)
            else:
                socket.send_fds(self._channel, [request.value], [lock])
            data = b""
            while not data:
                try:
                    data = self._channel.recv(_REPLY_SIZE)
                    if not data:
                        raise GuardLost
                except socket.timeout as error:  # TimeoutError itself from 3.10 on
                    if time.monotonic() >= until or is_interrupted():
                        raise TimeoutError from error
        except TimeoutError:
            raise
        except OSError as error:
            raise GuardLost from error
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
    try:
        ours, theirs, journal, process = _spawned(spec, folder)
    except OSError as error:
        raise GuardError(f"the guard process cannot be started: {error.strerror}; nothing was touched") from error
    theirs.close()
    _ending[:] = [guard for guard in _ending if guard.poll() is None]

    def end(patience: float) -> None:
        if not patience:
            process.kill()
        try:
            process.wait(patience or None)
        except subprocess.TimeoutExpired:
            _ending.append(process)

    return GuardProcess(ours, journal, end)


def _spawned(spec: str, folder: str) -> Tuple[socket.socket, socket.socket, Journal, subprocess.Popen[bytes]]:
    with ExitStack() as undo:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(ours.close)
        undo.callback(theirs.close)
        journal = undo.enter_context(closing(Journal()))
        told = {"channel": theirs.fileno(), "journal": journal.descriptor, "spec": spec, "folder": folder}
        command = [_python(), "-I", "-S", "-c", _BOOT, json.dumps({**told, "version": __version__, "path": _path()})]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            pass_fds=(theirs.fileno(), journal.descriptor), start_new_session=True,
        )
        undo.pop_all()
    return ours, theirs, journal, process


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
