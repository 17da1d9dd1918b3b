# SPDX-License-Identifier: MIT
"""Keeping a domain with a lock and a guard: for a host that lives on when the program dies."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from xenvcpu import keptfile, pausing
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.audit import Audit, no_audit
from xenvcpu.capture import Capture
from xenvcpu.deadline import Deadline, Patience
from xenvcpu.errors import DomainBusyError, GuardError
from xenvcpu.guard.folders import Folders
from xenvcpu.guard.journal import Pause
from xenvcpu.guard.process import GuardLost, GuardProcess
from xenvcpu.guard.request import Request
from xenvcpu.keeper import Keeper
from xenvcpu.left import Left
from xenvcpu.lock import domain_lock
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.failure import failure

_ANSWER = 10.0
"""Seconds in which a guard answers when the domain is to be let go; it is killed then, and we go on without it."""
_MOMENT = 0.05
"""Seconds to wait for a guard that is known to be busy."""


class GuardedKeeper(Keeper):
    """A lock in a file, and a guard process that is started with the first change and serves until `close`."""

    def __init__(
        self, port: Dom0Port, patience: Patience, folders: Folders, start: Callable[[], GuardProcess],
        audit: Audit = no_audit, name: Callable[[int], Optional[str]] = lambda domid: None,
    ) -> None:
        """Nothing is started yet.

        Args:
            port: Where.
            patience: How long an operation may wait.
            folders: Where locks and kept captures are.
            start: Starts a guard.
            audit: Is told of each change.
            name: The name of a domain, where it has one.
        """
        super().__init__(port, patience, audit)
        self._name = name
        self._folders = folders
        self._start = start
        self._guard: Optional[GuardProcess] = None
        self._lock: Optional[int] = None

    @contextmanager
    def hold(self, domain: DomainInfo) -> Iterator[Deadline]:
        """Take the domain's lock; the guard starts meanwhile."""
        deadline = self.patience.begin()
        self._running()
        with ExitStack() as stack:
            name = f"domain {domain.domid} ({self._name(domain.domid) or domain.handle})"
            lock = domain_lock(domain.handle, self._folders.locks, self.patience, deadline, name=name)
            try:
                self._lock = stack.enter_context(lock)
            except DomainBusyError as error:
                error.domid = domain.domid
                raise
            self._running().journal.domain = (domain.domid, domain.handle)
            yield deadline

    def _running(self) -> GuardProcess:
        if self._guard is None:
            self._guard = self._start()
        return self._guard

    def _drop(self, *patience: float) -> None:
        """Let the guard go; what it still has to do it does."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close(*patience)

    def pause(self, domid: int, deadline: Deadline, is_interrupted: Callable[[], bool]) -> None:
        """Let the guard take a pause; one that has died is replaced, once."""
        try:
            self._take(domid, deadline, is_interrupted)
        except GuardLost:
            domain = self._running().journal.domain
            self._let_go(domid)
            self._running().journal.domain = domain
            try:
                self._take(domid, deadline, is_interrupted)
            except GuardLost as error:
                self._let_go(domid)
                raise GuardError("the guard process dies as soon as it is started; nothing was touched") from error

    def _take(self, domid: int, deadline: Deadline, is_interrupted: Callable[[], bool]) -> None:
        try:
            answer = self._running().ask(Request.PAUSE, deadline.left, self._lock, is_interrupted)
        except TimeoutError as error:
            # The guard is in Xen. When it comes back it finds nobody, and gives the pause back.
            self._drop(_MOMENT)
            raise deadline.over("waiting for the guard and its pause", domid) from error
        try:
            _raise("xc_domain_pause", domid, answer)
        except GuardError:
            self._drop()
            raise

    def unpause(self, domid: int) -> Tuple[str, ...]:
        """Let the guard give the pause back; if it has died, or fails, it is given back here."""
        guard = self._running()
        try:
            answer = guard.ask(Request.UNPAUSE, _ANSWER)
        except TimeoutError:
            guard.kill()
            return self._let_go(domid)
        except GuardLost:
            return self._let_go(domid)
        if guard.journal.pause is Pause.HELD:
            return self._let_go(domid)
        _raise("xc_domain_unpause", domid, answer)
        return tuple(answer.get("notes", ()))

    def _let_go(self, domid: int) -> Tuple[str, ...]:
        """Give back the pause that a guard has held which died, or fails; and let it go.

        A guard that lives, and with which that fails here too, goes on trying.

        Returns:
            As `pausing.give_back`.

        Raises:
            ChangeError: It died within the call, and somebody else holds a pause: Xen shows no counts.
        """
        journal = self._running().journal
        try:
            if journal.pause in (Pause.TAKING, Pause.GIVING):
                if not self._port.domain(domid).is_paused:
                    journal.pause = Pause.FREE
                elif journal.was_paused:
                    did = "took" if journal.pause is Pause.TAKING else "gave back"
                    raise pausing.once_too_often(domid, f"the guard died while it {did} its pause")
            if journal.pause is Pause.FREE:
                return ()
            notes = pausing.give_back(self._port, domid, was_paused=journal.was_paused)
            journal.pause = Pause.FREE
            return notes
        finally:
            self._drop(_MOMENT)

    def touching(self, capture: Capture) -> None:
        """Leave the capture with the guard."""
        self._running().journal.touching(capture)

    def settled(self) -> None:
        """Tell the guard that nothing is to be put back."""
        self._running().journal.settled()

    def put_back(self, left: Left) -> Left:
        """Let the guard try, with its own handle on Xen; one that takes too long is killed: it answers nothing late."""
        guard = self._running()
        try:
            answer = guard.ask(Request.PUT_BACK, _ANSWER)
        except GuardLost:
            return left
        except TimeoutError:
            guard.kill()
            return left
        found = answer.get("left", left)
        if isinstance(found, dict):
            return Left.from_dict(found)
        return found or Left()

    def keep(self, capture: Capture, left: Left) -> Tuple[Optional[str], Tuple[str, ...]]:
        """Keep the capture in a file for `xenvcpu recover`."""
        return keptfile.keep_or_say(capture, left, self._folders.kept)

    def close(self) -> None:
        """Let the guard end."""
        self._drop()


def _raise(op: str, domid: int, answer: Dict[str, Any]) -> None:
    """Raise what the guard's answer tells of, if anything."""
    if "unsure" in answer:
        raise pausing.answer_lost(domid, answer["unsure"])
    if "file" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]), answer["file"])
    if answer.get("errno"):
        raise failure(op, answer["errno"], domid=domid, log=answer.get("log", ""))
    if "message" in answer:
        raise GuardError(f"the guard process: {answer['message']}")
