# SPDX-License-Identifier: MIT
"""What became of a world in which something went wrong."""

from __future__ import annotations

import collections
import enum
import fcntl
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, Iterator, Optional, Sequence

from promises.snapshots import Snapshot, differing, value

from xenvcpu.errors import XenVcpuError


class Verdict(enum.Enum):
    """How it ended; the words are those of the counts."""

    RESTORED = "restored"
    DONE = "done"
    FRESH = "fresh as documented"
    TOLD = "named by the error"


class Lost(AssertionError):
    """The world is neither as before nor as after, or the error does not tell the truth of it."""


def require_lock_free(folder: Path) -> None:
    """No domain's lock in a folder is held.

    Raises:
        Lost: One is.
    """
    for path in folder.glob("*.lock"):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Lost(f"{path.name} is held") from None


@dataclass(frozen=True)
class Ending:
    """A world that an operation has left.

    Attributes:
        before: It before.
        done: It after the operation without any fault.
        now: It as it is.
        error: What was raised.
    """

    before: Snapshot
    done: Snapshot
    now: Snapshot
    error: Optional[BaseException]


def _require(is_so: bool, what: str, ending: Ending) -> None:
    if not is_so:
        error = ending.error
        told = {name: getattr(error, name, None) for name in ("restored", "left", "kept")}
        raise Lost(
            f"{what}; {type(error).__name__}: {error} {told}; not as before: {differing(ending.before, ending.now)},"
            f" not as after: {differing(ending.done, ending.now)}"
        )


def _was_made_fresh(ending: Ending, spent: FrozenSet[str]) -> bool:
    """Whether nothing is lost but the registers of vcpus that were initialised and down."""
    for path in differing(ending.before, ending.now):
        vcpu, _, name = path.rpartition(".")
        if vcpu not in spent or name not in ("is_initialised", "registers", "records", "xsave"):
            return False
        was, now = (
            [value(world, f"{vcpu}.{flag}") for flag in ("is_initialised", "is_down")]
            for world in (ending.before, ending.now)
        )
        if (was, now) != ([True, True], [False, True]):
            return False
    return True


_DONE = "all that was asked for is done"


def _untold(ending: Ending, left: Sequence[str]) -> Iterator[str]:
    """What is not as before, and no line of the error speaks of it."""
    text = "\n".join(left)
    for path in differing(ending.done if _DONE in left else ending.before, ending.now):
        vcpu = re.fullmatch(r".*\.(\d+)\.\w+", path)
        word = rf"\bvcpu {vcpu[1]}\b" if vcpu else r"\bpaused\b"
        if not re.search(word, text):
            yield path


def _is_unsure(left: Sequence[str]) -> bool:
    """Whether the error speaks only of what may be."""
    return bool(left) and all(" may be " in line for line in left)


def judge(
    ending: Ending, raises: Sequence[type] = (), *, spent: FrozenSet[str] = frozenset()
) -> Verdict:
    """Judge an ending.

    Args:
        ending: It.
        raises: What may be raised besides our own errors.
        spent: The vcpus, as `web.1`, that may have become fresh: of one that is down Xen shows no registers.

    Raises:
        Lost: It is bad.
    """
    error = ending.error
    restored, left, kept = (getattr(error, name, None) for name in ("restored", "left", "kept"))
    _require(error is None or isinstance(error, (XenVcpuError, *raises)), "an error of another kind", ending)
    if error is None:
        _require(ending.now == ending.done, "no error, and not done", ending)
        return Verdict.DONE
    is_ours = isinstance(error, XenVcpuError)
    if ending.now == ending.before:
        is_said = is_ours and (restored is False or bool(left) or bool(kept)) and not _is_unsure(left or ())
        _require(not is_said, "as before, and said not to be", ending)
        return Verdict.RESTORED
    if ending.now == ending.done:
        _require(not is_ours or restored is False, "done, and not said to be", ending)
        return Verdict.DONE
    if _was_made_fresh(ending, spent):
        return Verdict.FRESH
    _require(is_ours and restored is False and bool(left), "neither as before nor as after, and not told", ending)
    _require(not list(_untold(ending, left or ())), "not all that is left is told", ending)
    return Verdict.TOLD


def tally(verdicts: Sequence[Verdict]) -> Dict[str, int]:
    """How often each was given, by its words."""
    found = collections.Counter(verdict.value for verdict in verdicts)
    return {verdict.value: found[verdict.value] for verdict in Verdict if found[verdict.value]}
