# SPDX-License-Identifier: MIT
"""A guard in a thread, with libraries of its own before the same Xen; it and its program can be killed anywhere.

A thread that is killed does nothing any more, and the kernel's part is done for it: what it had open is closed.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple
from uuid import UUID

from xenvcpu.audit import no_audit
from xenvcpu.capture import Capture
from xenvcpu.deadline import Patience
from xenvcpu.guard.folders import Folders
from xenvcpu.guard.journal import Journal, Pause
from xenvcpu.guard.keeper import GuardedKeeper
from xenvcpu.guard.process import GuardProcess
from xenvcpu.guard.request import Request
from xenvcpu.guard.server import GuardServer
from xenvcpu.model.faults import Killed
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.ports.dom0 import Dom0Port

JOIN = 60.0
"""Seconds after which a guard that still runs is a failure."""


class MortalJournal(Journal):
    """One side's journal: that of a dead process is not written any more.

    Attributes:
        written: How many writes were made.
        dies_at: The write, from 1 on, and whether it is made before the process dies in it.
    """

    def __init__(self, libraries: ModelLibraries, descriptor: Optional[int] = None) -> None:
        super().__init__(descriptor)
        self._libraries = libraries
        self.written = 0
        self.dies_at: Optional[Tuple[int, bool]] = None

    def _write(self, make: Callable[[], None]) -> None:
        if self._libraries.is_killed:
            raise Killed("journal")
        self.written += 1
        if self.dies_at is not None and self.dies_at[0] == self.written:
            if self.dies_at[1]:
                make()
            self._libraries.is_killed = True
            raise Killed("journal")
        make()

    @property
    def pause(self) -> Pause:
        """See `Journal`."""
        return super().pause

    @pause.setter
    def pause(self, pause: Pause) -> None:
        self._write(lambda: Journal.pause.fset(self, pause))  # type: ignore[attr-defined]

    @property
    def was_paused(self) -> bool:
        """See `Journal`."""
        return super().was_paused

    @was_paused.setter
    def was_paused(self, was_paused: bool) -> None:
        self._write(lambda: Journal.was_paused.fset(self, was_paused))  # type: ignore[attr-defined]

    @property
    def domain(self) -> Tuple[int, UUID]:
        """See `Journal`."""
        return super().domain

    @domain.setter
    def domain(self, domain: Tuple[int, UUID]) -> None:
        self._write(lambda: Journal.domain.fset(self, domain))  # type: ignore[attr-defined]

    def touching(self, capture: Capture) -> None:
        """See `Journal`."""
        self._write(lambda: super(MortalJournal, self).touching(capture))

    def settled(self) -> None:
        """See `Journal`."""
        self._write(super().settled)


class MortalGuardProcess(GuardProcess):
    """What a program that can be killed has of its guard: a dead one asks nothing."""

    def __init__(
        self, channel: socket.socket, journal: MortalJournal, end: Callable[[float], None], program: ModelLibraries
    ) -> None:
        super().__init__(channel, journal, end)
        self._program = program

    def ask(self, request: Request, *arguments: Any) -> Dict[str, Any]:
        """See `GuardProcess`."""
        if self._program.is_killed:
            raise Killed(request.name)
        return super().ask(request, *arguments)


class Guard:
    """A guard in a thread.

    Attributes:
        libraries: Its C libraries.
        journal: Its side of the journal.
        error: What it died of, if not in order.
    """

    def __init__(self, world: Hypervisor, journal: Journal, channel: socket.socket, kept: str) -> None:
        self.libraries = ModelLibraries(world)
        self.journal = MortalJournal(self.libraries, os.dup(journal.descriptor))
        self.error: Optional[BaseException] = None
        self._channel = channel
        self._server = GuardServer(self._open, channel, self.journal, no_audit, kept)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _open(self) -> Dom0Port:
        return Dom0Port(self.libraries)  # type: ignore[arg-type]

    def _serve(self) -> None:
        try:
            self._server.serve()
        except BaseException as error:
            self.error = error
            error.__traceback__ = None
        finally:
            # In this order: whoever sees the end of the channel finds nothing of it left.
            self.journal.close()
            self._channel.close()

    def end(self, patience: float) -> None:
        """End it as `GuardProcess` wants it."""
        if not patience:
            self.libraries.is_killed = True
        self.thread.join(JOIN)
        assert not self.thread.is_alive(), "the guard does not end"


class Guards:
    """Starts the guards of one program.

    Attributes:
        all: Those that were started, in order.
        journals: The program's side of the journal of each.
        folders: Where locks and kept captures lie.
        prepare: Is given the first guard and the program's journal, before it runs.
    """

    def __init__(self, world: Hypervisor, program: ModelLibraries, folder: Path) -> None:
        self.all: List[Guard] = []
        self.journals: List[MortalJournal] = []
        self.folders = Folders(folder, str(folder / "kept"))
        self.prepare: Callable[[Guard, MortalJournal], None] = lambda guard, journal: None
        self._world = world
        self._program = program

    def start(self) -> GuardProcess:
        """Start one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        journal = MortalJournal(self._program)
        guard = Guard(self._world, journal, theirs, self.folders.kept)
        if not self.all:
            self.prepare(guard, journal)
        self.all.append(guard)
        self.journals.append(journal)
        guard.thread.start()
        return MortalGuardProcess(ours, journal, guard.end, self._program)

    def keeper(self, port: Dom0Port) -> GuardedKeeper:
        """A keeper with these guards."""
        return GuardedKeeper(port, Patience(), self.folders, self.start)
