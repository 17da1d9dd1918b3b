# SPDX-License-Identifier: MIT
"""VCPUS on the command line: `2`, `1-3`, `1,5`, or `all`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

ALL = "all"
LARGEST = 8191
"""No release of Xen has a higher vcpuid (MAX_VIRT_CPUS)."""

_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def parse(context: click.Context, argument: click.Parameter, text: str) -> tuple[int, ...] | None:
    """The vcpuids in order, each once; None for `all`. A click callback.

    Raises:
        click.BadParameter: Not a set of vcpus.
    """
    if text == ALL:
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise click.BadParameter(f"{text!r} is not a set of vcpus such as 2, 1-3, 1,5 or {ALL}")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise click.BadParameter(f"{part.strip()} counts down: write {last}-{first}")
        if last > LARGEST:
            raise click.BadParameter(f"{last} is above {LARGEST}, the highest vcpu of any Xen")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def show(vcpuids: Iterable[int]) -> str:
    """Vcpuids as they are written: `1-3,5`."""
    runs: list[list[int]] = []
    for vcpuid in sorted(vcpuids):
        if runs and runs[-1][-1] == vcpuid - 1:
            runs[-1][-1:] = [vcpuid] if len(runs[-1]) > 1 else [runs[-1][-1], vcpuid]
        else:
            runs.append([vcpuid])
    return ",".join("-".join(map(str, run)) for run in runs)
