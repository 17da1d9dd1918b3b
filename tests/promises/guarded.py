# SPDX-License-Identifier: MIT
"""A program with a guard, as on a real host: either may fail, or be killed, anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

from promises.operations import Case
from promises.programs import require_clocks, require_nothing_open, world_before
from promises.snapshots import Snapshot, snapshot
from promises.threads import Guard, Guards, MortalJournal
from promises.verdicts import Lost, require_lock_free

from xenvcpu import keptfile
from xenvcpu.host import Host
from xenvcpu.model.libraries import Call, ModelLibraries


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Trouble:
    """What goes wrong.

    Attributes:
        program: Set up on the program's libraries, just before the operation.
        guard: Set up on the first guard and on the program's side of their journal, before it runs.
        pauses: How many pauses others hold; None for as many as the world has.
        earlier: What the same program has done before, with the domain that it drives.
        found: What is otherwise in the world since then, by path.
    """

    program: Callable[[ModelLibraries], None] = _nothing
    guard: Callable[[Guard, MortalJournal], None] = _nothing
    pauses: Optional[int] = None
    earlier: Callable[[Any, ModelLibraries], None] = _nothing
    found: Tuple[Tuple[str, object], ...] = ()


@dataclass
class GuardedRun:
    """What a program and its guards have left.

    Attributes:
        returned: The world when the operation returned.
        world: The world when the program and its guards had ended.
        error: What the operation raised.
        calls: The calls of the operation.
        guards: The guards, in order.
        written: How many writes the program made to the first journal.
        first: How many calls the program had made before.
    """

    returned: Snapshot
    world: Snapshot
    error: Optional[BaseException]
    calls: Tuple[Call, ...]
    guards: List[Guard] = field(default_factory=list)
    written: int = 0


def _require_kept_as_told(folder: Path, error: Optional[BaseException]) -> None:
    """What is kept is what the error names, and can be read."""
    files = keptfile.kept(str(folder / "kept"))
    told = getattr(error, "kept", None)
    if told is not None:
        keptfile.read(told)
    for path in files:
        os.unlink(path)
    if files != (() if told is None else (told,)):
        raise Lost(f"kept {files}, and the error names {told}")


def guarded_run(case: Case, folder: Path, trouble: Trouble = Trouble()) -> GuardedRun:
    """Run the operation once, to the end of the program and of its guards.

    Raises:
        Lost: Something is left open or locked, or a clock went back.
    """
    world = world_before(case)
    if trouble.pauses is not None:
        world.named(case.domain).pause_count = trouble.pauses
    libraries, error = case.libraries(world), None
    guards = Guards(world, libraries, folder)
    guards.prepare = trouble.guard
    with Host("model", libraries) as host:
        vars(host)["keeper"] = guards.keeper(host.dom0)
        domain = case.find(host)
        trouble.earlier(domain, libraries)
        first = len(libraries.calls)
        trouble.program(libraries)
        try:
            case.act(domain)
        except BaseException as raised:
            error = raised
        returned = snapshot(world)
        calls = tuple(libraries.calls[first:])
    require_nothing_open(libraries, {}, error)
    for guard in guards.all:
        guard.end(1.0)
        require_nothing_open(guard.libraries, {}, guard.error)
    require_lock_free(folder)
    _require_kept_as_told(folder, error)
    require_clocks(case, world)
    written = guards.journals[0].written if guards.journals else 0
    return GuardedRun(returned, snapshot(world), error, calls, guards.all, written)
