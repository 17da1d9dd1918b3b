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
from xenvcpu.audit import Audit, outcome_of
from xenvcpu.capture import Capture
from xenvcpu.errors import ChangeError, FormatError, NoSuchDomainError, XenVcpuError
from xenvcpu.guard.journal import Journal, Pause
from xenvcpu.guard.request import REQUEST_SIZE, Request
from xenvcpu.keptfile import keep
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.putback import put_back

_ATTEMPTS = 5
_BETWEEN = 0.05

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
                answer = self._answer(port, request)
                if self._journal.pause is Pause.FREE:
                    self._release()
                self._reply(answer)
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
        if descriptors:
            self._release()
            self._lock = list(descriptors)
        return Request.unpack(data) if data else None

    def _release(self) -> None:
        for descriptor in self._lock:
            os.close(descriptor)
        self._lock = []

    def _reply(self, answer: Any) -> None:
        with suppress(ConnectionError):  # its end is seen at the next request
            self._channel.send(json.dumps(answer).encode("ascii"))

    def _answer(self, port: Dom0Port, request: Request) -> Any:
        try:
            if request is Request.PAUSE:
                self._pause(port)
            elif request is Request.UNPAUSE:
                self._unpause(port)
            else:
                return {"left": self._put_back(port)}
        except NoSuchDomainError as error:
            return {"errno": errno.ESRCH, "message": str(error)}
        except ChangeError as error:
            return {"unsure": str(error.__cause__)}
        except XenVcpuError as error:
            number = error.errno if isinstance(error, OSError) else None
            return {"errno": number, "message": str(error), "log": getattr(error, "log", "")}
        return {}

    def _pause(self, port: Dom0Port) -> None:
        domid, _ = self._journal.domain
        was_paused = self._journal.was_paused = port.domain(domid).is_paused
        self._journal.pause = Pause.TAKING
        try:
            pausing.take(port, domid, was_paused=was_paused)
        except XenVcpuError:
            self._journal.pause = Pause.FREE
            raise
        self._journal.pause = Pause.HELD

    def _unpause(self, port: Dom0Port) -> None:
        domid, _ = self._journal.domain
        self._journal.pause = Pause.GIVING
        try:
            pausing.give_back(port, domid, was_paused=self._journal.was_paused)
        except XenVcpuError as error:
            is_not_ours = isinstance(error, ChangeError) or pausing.number_of(error) in (errno.ESRCH, errno.EINVAL)
            self._journal.pause = Pause.FREE if is_not_ours else Pause.HELD
            raise
        self._journal.pause = Pause.FREE

    def _put_back(self, port: Dom0Port) -> Tuple[str, ...]:
        capture = self._journal.capture
        return () if capture is None else put_back(port, capture) or ()

    def _finish(self, port: Dom0Port) -> None:
        """The program is gone: the domain is put back if it was being touched, and runs again."""
        if self._journal.pause is not Pause.HELD:
            return
        if self._is_gone(port):
            return
        capture: Optional[Capture] = None
        with suppress(FormatError):
            capture = self._journal.capture
        if capture is not None:
            left = put_back(port, capture) or ()
            kept = keep(capture, left, self._folder) if left else None
            self._journal.settled()
            self._audit(capture.verb, capture.domid, capture.handle, capture.vcpuids, outcome_of("killed", left, kept))
        self._insist(port)

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
        for _ in range(_ATTEMPTS):
            try:
                self._unpause(port)
                return
            except XenVcpuError:
                if self._journal.pause is Pause.FREE:
                    return
                time.sleep(_BETWEEN)
