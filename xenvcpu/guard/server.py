# SPDX-License-Identifier: MIT
"""What the guard does: pause and unpause on request, and all that is left when the program dies."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from contextlib import suppress
from typing import Any, Callable, List, Optional, Tuple

from xenvcpu import pausing
from xenvcpu.audit import Audit, name_of, outcome_of
from xenvcpu.capture import Capture
from xenvcpu.errors import ChangeError, NoSuchDomainError, XenVcpuError
from xenvcpu.guard.journal import Journal, Pause
from xenvcpu.guard.request import REQUEST_SIZE, Request
from xenvcpu.keptfile import keep_or_say
from xenvcpu.left import Left
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.putback import put_back

_SHORTEST, _LONGEST = 0.02, 2.0
_INSISTS = 300.0
"""Seconds for which a pause is tried to be given back, when nobody else is left to do it."""

Opener = Callable[[], Dom0Port]


class GuardServer:
    """The guard's side of the channel.

    Synchronization: for one thread.
    """

    def __init__(self, open_port: Opener, channel: socket.socket, journal: Journal, audit: Audit, folder: str) -> None:
        """Nothing is opened yet.

        Args:
            open_port: Opens a port of the guard's own.
            channel: To the program; its end is the program's.
            journal: What both know.
            audit: Is told of what the guard does when the program has died.
            folder: Where a capture that cannot be put back is kept.
        """
        self._open_port = open_port
        self._channel = channel
        self._journal = journal
        self._audit = audit
        self._folder = folder
        self._lock: List[int] = []
        self._restored: Optional[Tuple[Capture, Left]] = None

    def serve(self) -> None:
        """Answer until the program closes the channel or dies; then do what is left."""
        try:
            port = self._open_port()
        except XenVcpuError as error:
            self._refuse_all(str(error))
            return
        try:
            while True:
                request = self._receive()
                if request is None:
                    break
                self._reply(self._answer(port, request))
            self._finish(port)
        finally:
            port.close()
            self._release()

    def _refuse_all(self, message: str) -> None:
        while self._receive() is not None:
            self._reply({"message": message})

    def _receive(self) -> Optional[Request]:
        """The next request; None when there will be no more."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, REQUEST_SIZE, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return None
        self._lock += descriptors
        return Request.unpack(data) if data else None

    def _release(self) -> None:
        for descriptor in self._lock:
            os.close(descriptor)
        self._lock = []

    def _reply(self, answer: Any) -> None:
        if self._journal.pause is Pause.FREE:
            self._release()
        with suppress(ConnectionError):  # its end is seen at the next request
            self._channel.send(json.dumps(answer).encode("ascii"))

    def _answer(self, port: Dom0Port, request: Request) -> Any:
        try:
            if request is Request.PAUSE:
                self._pause(port)
            elif request is Request.UNPAUSE:
                self._restore(port)
                notes = self._unpause(port)
                self._report()
                return {"notes": list(notes)}
            else:
                capture = self._journal.capture
                left = None if capture is None else put_back(port, capture)
                return {"left": None if left is None else left.as_dict()}
        except ChangeError as error:
            return {"unsure": str(error.__cause__)}
        except XenVcpuError as error:
            return {"errno": pausing.number_of(error), "message": str(error), "log": getattr(error, "log", "")}
        except OSError as error:  # not of Xen's: the file of a model's world cannot be written
            return {"errno": error.errno, "file": error.filename}
        return {}

    def _pause(self, port: Dom0Port) -> None:
        domid, _ = self._journal.domain
        was_paused = self._journal.was_paused = port.domain(domid).is_paused
        self._journal.pause = Pause.TAKING
        try:
            pausing.take(port, domid, was_paused=was_paused)
        except (XenVcpuError, OSError):
            self._journal.pause = Pause.FREE
            raise
        self._journal.pause = Pause.HELD

    def _unpause(self, port: Dom0Port) -> Tuple[str, ...]:
        domid, _ = self._journal.domain
        self._journal.pause = Pause.GIVING
        try:
            notes = pausing.give_back(port, domid, was_paused=self._journal.was_paused)
        except XenVcpuError as error:
            is_not_ours = isinstance(error, ChangeError) or pausing.number_of(error) in (errno.ESRCH, errno.EINVAL)
            self._journal.pause = Pause.FREE if is_not_ours else Pause.HELD
            raise
        except OSError:
            self._journal.pause = Pause.HELD
            raise
        self._journal.pause = Pause.FREE
        return notes

    def _restore(self, port: Dom0Port) -> None:
        """Put back what is still being touched: the program has died meanwhile, or was interrupted twice."""
        capture = self._journal.capture
        if capture is not None:
            self._restored = capture, put_back(port, capture) or Left()
            self._journal.settled()

    def _report(self) -> None:
        """Tell what `_restore` has done; when the domain runs again, for a log or a disk may be slow."""
        if self._restored is None:
            return
        (capture, left), self._restored = self._restored, None
        kept, why_not = keep_or_say(capture, left, self._folder)
        said = outcome_of("killed", not left, (*left.lines, *why_not), kept)
        self._audit(capture.verb, name_of(capture.domid, capture.handle), capture.vcpuids, said)

    def _finish(self, port: Dom0Port) -> None:
        """The program is gone: the domain is put back if it was being touched, and runs again."""
        if self._journal.pause is not Pause.HELD or self._is_gone(port):
            return
        try:
            self._restore(port)
        finally:
            self._insist(port)
        self._report()

    def _is_gone(self, port: Dom0Port) -> bool:
        domid, handle = self._journal.domain
        try:
            return port.domain(domid).handle != handle
        except NoSuchDomainError:
            return True
        except XenVcpuError:
            return False

    def _insist(self, port: Dom0Port) -> None:
        """Unpause, whatever it takes: nobody else is left to do it."""
        pause = _SHORTEST
        until = time.monotonic() + _INSISTS
        while time.monotonic() < until:
            try:
                self._unpause(port)
                return
            except XenVcpuError:
                if self._journal.pause is Pause.FREE:
                    return
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        domid, handle = self._journal.domain
        self._audit("unpause", name_of(domid, handle), (), outcome_of("left paused", False))
