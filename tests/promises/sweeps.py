# SPDX-License-Identifier: MIT
"""Many runs of one operation, each with a trouble of its own, and the count of how they ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import FrozenSet, Iterable, NamedTuple, Sequence

from promises.guarded import Trouble, guarded_run
from promises.operations import Case
from promises.programs import before, done, named
from promises.snapshots import Snapshot, with_value
from promises.tally import Tally
from promises.verdicts import Ending, Verdict, judge


class Scene(NamedTuple):
    """One trouble.

    Attributes:
        name: What it is, for people.
        trouble: It.
        raises: What may be raised besides our own errors.
    """

    name: str
    trouble: Trouble
    raises: Sequence[type] = ()


def sweep(
    case: Case, folder: Path, scenes: Iterable[Scene], *, what: str, may_be_killed: bool = False
) -> Tally:
    """Run the operation with each trouble by itself, with a guard.

    Args:
        case: The operation.
        folder: For locks and what is kept.
        scenes: The troubles.
        what: How they are counted.
        may_be_killed: Whether the program is killed: then nobody knows which vcpus had been made fresh, and were
            initialised before.
    """
    found = Tally(what)
    operation = case.operation
    spent = named(case, operation.starts + (operation.resets if may_be_killed else ()))
    descriptors = len(os.listdir("/proc/self/fd"))
    for scene in scenes:
        found.take(scene.name, lambda scene=scene: _judged(case, folder, scene, spent))  # type: ignore[misc]
    assert len(os.listdir("/proc/self/fd")) == descriptors, "a descriptor is left open"
    return found


def _judged(case: Case, folder: Path, scene: Scene, spent: FrozenSet[str]) -> Verdict:
    run = guarded_run(case, folder, scene.trouble)
    start, end = (_as_found(case, world, scene.trouble) for world in (before(case), done(case).world))
    return judge(Ending(start, end, run.world, run.error), scene.raises, spent=spent)


def _as_found(case: Case, world: Snapshot, trouble: Trouble) -> Snapshot:
    """A world as it is where others hold pauses, or where something has happened earlier."""
    if trouble.pauses is not None:
        world = with_value(world, f"{case.domain}.pause_count", trouble.pauses)
    for path, found in trouble.found:
        world = with_value(world, path, found)
    return world
