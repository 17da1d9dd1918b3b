# SPDX-License-Identifier: MIT
"""A guard that is served in a thread, before the same model as the program."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Callable, Iterator, List, Sequence

import pytest

from xenvcpu.deadline import Patience
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.guard.folders import Folders
from xenvcpu.guard.journal import Journal
from xenvcpu.guard.keeper import GuardedKeeper
from xenvcpu.guard.process import GuardProcess
from xenvcpu.guard.server import GuardServer
from xenvcpu.model import worlds
from xenvcpu.model.faults import Killed
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.ports.dom0 import Dom0Port


class Stage:
    """One Xen, a program before it, and the guards that it starts."""

    def __init__(self, xen: Hypervisor, folder: Path, patience: Patience) -> None:
        self.xen = xen
        self.folder = folder
        self.libraries = ModelLibraries(xen)
        self.guards: List[ModelLibraries] = []
        self.audited: List[str] = []
        self.audited_by_guard: List[str] = []
        self.processes: List[GuardProcess] = []
        self.prepare: Callable[[ModelLibraries], None] = lambda libraries: None
        port = Dom0Port(self.libraries)  # type: ignore[arg-type]
        folders = Folders(folder, str(folder / "kept"))
        self.keeper = GuardedKeeper(port, patience, folders, self.start_guard, self.audit)
        self.port = port
        self.web = Dom0Domain(port, self.keeper, port.domain(xen.named("web").domid), "web")

    def audit(self, verb: str, domain: str, vcpuids: Sequence[int], outcome: str) -> None:
        self.audited.append(f"{verb} {','.join(map(str, vcpuids))} {outcome}")

    def audit_of_guard(self, verb: str, domain: str, vcpuids: Sequence[int], outcome: str) -> None:
        self.audited_by_guard.append(f"{verb} {domain} {','.join(map(str, vcpuids))} {outcome}")

    def start_guard(self) -> GuardProcess:
        """A guard with libraries of its own, as a process would have."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        journal, libraries = Journal(), ModelLibraries(self.xen)
        self.guards.append(libraries)
        self.prepare(libraries)
        server = GuardServer(
            lambda: Dom0Port(libraries), theirs, journal,  # type: ignore[arg-type]
            self.audit_of_guard, str(self.folder / "kept"),
        )

        def serve() -> None:
            try:
                server.serve()
            except Killed:
                pass
            finally:
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()

        def end(patience: float) -> None:
            if not patience:
                libraries.is_killed = True
                ours.shutdown(socket.SHUT_RDWR)
            thread.join(60)

        made = GuardProcess(ours, journal, end)
        self.processes.append(made)
        return made

    def close(self) -> None:
        """The program ends as it should."""
        self.keeper.close()
        self.port.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(worlds.pvh(), tmp_path, Patience(timeout=60))
    yield made
    made.close()
    assert made.libraries.leaks == {}
    assert all(guard.leaks == {} for guard in made.guards if not guard.is_killed)
