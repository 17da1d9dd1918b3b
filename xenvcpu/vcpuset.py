# SPDX-License-Identifier: MIT
"""A set of vcpus as text: `2`, `1-3`, `1,5`, or `all`."""

from __future__ import annotations

import re
from typing import Iterable, List, Optional, Set, Tuple

from xenvcpu.errors import ContextError

ALL = "all"
BOOT = 0
"""The boot vcpu; its toolstack starts it."""
LARGEST = 8191
"""No release of Xen has a higher vcpuid (MAX_VIRT_CPUS)."""

MAX_LENGTH = 4096
"""As many characters as such a text may have."""

_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def parse(text: str) -> Optional[Tuple[int, ...]]:
    """The vcpuids in order, each once; None for `all`.

    Raises:
        ContextError: Not a set of vcpus.
    """
    if text == ALL:
        return None
    if len(text) > MAX_LENGTH:
        raise _error(f"{len(text)} characters are no set of vcpus", text[:MAX_LENGTH])
    found: Set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise _error(f"{text!r} is not a set of vcpus such as 2, 1-3, 1,5 or {ALL}", text)
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise _error(f"{part.strip()} counts down: write {last}-{first}", text)
        if last > LARGEST:
            raise _error(f"{last} is above {LARGEST}, the highest vcpu of any Xen", text)
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _error(problem: str, text: str) -> ContextError:
    return ContextError(problem, field="vcpus", value=text)


def of_domain(count: int) -> str:
    """In words, the vcpus that a domain of so many has."""
    return f"vcpus 0 to {count - 1}" if count else "no vcpus yet: it is being built"


def secondary(vcpuids: Iterable[int]) -> Tuple[int, ...]:
    """Those of some vcpus that `all` means: every one but the boot vcpu."""
    return tuple(vcpuid for vcpuid in vcpuids if vcpuid != BOOT)


def show(vcpuids: Iterable[int]) -> str:
    """Vcpuids as they are written: `1-3,5`."""
    runs: List[List[int]] = []
    for vcpuid in sorted(vcpuids):
        if runs and runs[-1][-1] == vcpuid - 1:
            runs[-1][-1:] = [vcpuid] if len(runs[-1]) > 1 else [runs[-1][-1], vcpuid]
        else:
            runs.append([vcpuid])
    return ",".join("-".join(map(str, run)) for run in runs)


def named(vcpuids: Iterable[int]) -> str:
    """Vcpus in words: `vcpu 2`, `vcpus 1-3`."""
    text = show(vcpuids)
    return f"vcpu {text}" if text.isdigit() else f"vcpus {text}"
