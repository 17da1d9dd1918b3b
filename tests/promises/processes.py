# SPDX-License-Identifier: MIT
"""A program and its guard as processes of their own, before a world file: SIGKILL is the kernel's here."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from promises.operations import Case
from promises.programs import world_before
from promises.snapshots import Snapshot, snapshot
from promises.verdicts import Lost, require_lock_free

from xenvcpu.guard.folders import of_world
from xenvcpu.host import Host, open_host
from xenvcpu.model import worldfile

PATIENCE = 60.0
"""Seconds after which a guard that still runs is a failure."""
DONE, FAILED = 0, 3
"""How a program exits that was not killed."""

Hook = Callable[[str, str], None]
"""Is told of each step: `before`, `in` or `after`, and its name."""


def guards_of(path: Path) -> Tuple[int, ...]:
    """The guards of programs that have a world file open."""
    needle, found = f"model:{path}".encode(), []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                told = Path(entry.path, "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if needle in told and b"xenvcpu.guard.main" in told:
                found.append(int(entry.name))
    return tuple(found)


def hooked(host: Host, hook: Hook) -> None:
    """Have every step of a change told: each turn that Xen has, and each write to the journal."""
    libraries, keeper = host.libraries, host.keeper
    begin, end = libraries.before_call, libraries.after_call

    def before_call() -> None:
        name = libraries.calls[-1].name
        hook("before", name)
        begin()
        hook("in", name)

    def after_call() -> None:
        end()
        hook("after", libraries.calls[-1].name)

    libraries.before_call, libraries.after_call = before_call, after_call
    for name in ("touching", "settled"):

        def write(*arguments: object, name: str = name, real: Callable[..., None] = getattr(keeper, name)) -> None:
            hook("before", name)
            real(*arguments)
            hook("after", name)

        setattr(keeper, name, write)


@dataclass
class Program:
    """A program that was started.

    Attributes:
        pid: It.
        path: Its world.
    """

    pid: int
    path: Path
    _news: int

    def wait_until_it_begins(self) -> None:
        """Until it has opened all that it needs, and begins with the operation."""
        os.read(self._news, 1)

    def end(self) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self._news)
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def started(case: Case, folder: Path, hook: Optional[Callable[[Path], Hook]] = None) -> Program:
    """Start a program that carries out the operation on a new world file."""
    path = folder / f"{case}-{time.monotonic_ns()}.json"
    worldfile.save(world_before(case), str(path))
    case.act  # noqa: B018  made here, not in each child
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = FAILED
        try:
            os.close(read)
            status = _carry_out(case, path, hook, write)
        finally:
            os._exit(status)
    os.close(write)
    return Program(pid, path, read)


def _carry_out(case: Case, path: Path, hook: Optional[Callable[[Path], Hook]], write: int) -> int:
    with open_host(f"model:{path}") as host:
        domain = case.find(host)
        if hook is not None:
            hooked(host, hook(path))
        os.write(write, b".")
        case.act(domain)
    return DONE


@dataclass(frozen=True)
class Aftermath:
    """What was found when all had ended.

    Attributes:
        world: The world.
        seconds: How long that took from the program's end on, without the time that guards and we waited
            for a processor: other processes may have them.
    """

    world: Snapshot
    seconds: float


def locks_of(program: Program) -> Path:
    """Where the locks of the domains of its world lie."""
    return of_world(str(program.path)).locks


def _kept_waiting(pid: int) -> float:
    """For how many seconds a process was ready to run, and had no processor; 0 if the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def aftermath(program: Program) -> Aftermath:
    """Wait until no guard is left.

    Raises:
        Lost: One stays, or a lock does.
    """
    began = time.monotonic()
    first: Dict[int, float] = {}
    last: Dict[int, float] = {}
    while True:
        guards = guards_of(program.path)
        for pid in (os.getpid(), *guards):
            last[pid] = _kept_waiting(pid) or last.get(pid, 0.0)
            first.setdefault(pid, last[pid])
        if not guards:
            break
        if time.monotonic() - began > PATIENCE:
            raise Lost("a guard is left")
        time.sleep(0.005)
    seconds = time.monotonic() - began - sum(last[pid] - first[pid] for pid in last)
    require_lock_free(locks_of(program))
    world = snapshot(worldfile.load(str(program.path)))
    program.path.unlink()
    return Aftermath(world, seconds)


def steps(case: Case, folder: Path) -> List[Tuple[str, str]]:
    """Every step of an operation that nobody disturbs."""
    log = folder / "steps"
    log.write_text("")

    def hook(path: Path) -> Hook:
        def note(when: str, name: str) -> None:
            with log.open("a") as file:
                print(when, name, file=file)

        return note

    program = started(case, folder, hook)
    assert program.end() == DONE
    aftermath(program)
    return [(line.split()[0], line.split()[1]) for line in log.read_text().splitlines()]


def killing_itself(at: int) -> Callable[[Path], Hook]:
    """A hook that kills the program in a step, counted from 0."""

    def hook(path: Path) -> Hook:
        passed = iter(range(1 << 16))

        def die(when: str, name: str) -> None:
            if next(passed) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        return die

    return hook


def killing_the_guard(at: int) -> Callable[[Path], Hook]:
    """A hook that kills the guard in a step, counted from 0; the program goes on."""

    def hook(path: Path) -> Hook:
        passed = iter(range(1 << 16))

        def kill(when: str, name: str) -> None:
            if next(passed) == at:
                for pid in guards_of(path):
                    os.kill(pid, signal.SIGKILL)

        return kill

    return hook


def instants(count: int, longest: float, seed: int) -> List[float]:
    """Random delays, the same in each run."""
    source = random.Random(seed)
    return [source.uniform(0, longest) for _ in range(count)]
