# SPDX-License-Identifier: MIT
"""Processes as the kernel shows them: their size, their descriptors, their children."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from integration.limits import Limit

_O_CLOEXEC = 0o2000000


@dataclass(frozen=True)
class Footprint:
    """What a process holds of the machine.

    Attributes:
        kib: Its resident memory that is no file's, in KiB.
        descriptors: Its open file descriptors.
        mappings: Lines of its memory map.
    """

    kib: int
    descriptors: int
    mappings: int


def footprint(pid: int) -> Footprint:
    """Returns what a process holds.

    Raises:
        OSError: It is gone.
    """
    folder = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    with (folder / "maps").open() as maps:
        mappings = sum(1 for _ in maps)
    return Footprint(
        kib=sum(int(status[name].split()[0]) for name in ("RssAnon", "RssShmem")),
        # without the one that lists them, when they are our own
        descriptors=len(os.listdir(folder / "fd")) - (pid == os.getpid()),
        mappings=mappings,
    )


def children(pid: int) -> List[int]:
    """Returns the children of a process, zombies among them; none if it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name(pid: int) -> str:
    """Returns what a process calls itself; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """Returns the words of a process's command line; empty if it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def guards(pid: int) -> List[int]:
    """Returns the children of a process that are its guards."""
    return [child for child in children(pid) if "guard" in name(child) + command_line(child)]


def is_program(pid: int) -> bool:
    """Says whether a child of a child of ours runs a program of its own; one that was only forked has our words."""
    return command_line(pid) not in ("", command_line(os.getpid()))


def is_running(pid: int) -> bool:
    """Says whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def await_end(pids: List[int], limit: float) -> bool:
    """Waits until none of the processes runs; says whether that came true in time."""
    end = Limit(limit)
    while any(map(is_running, pids)):
        if end.passed:
            return False
        time.sleep(0.01)
    return True


def open_descriptors() -> Dict[int, str]:
    """Returns what each of our own file descriptors leads to."""
    found: Dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that lists them
    return found


def closes_on_exec(descriptor: int) -> bool:
    """Says whether one of our descriptors closes when another program is started."""
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return bool(int(line.split()[1], 8) & _O_CLOEXEC)
    raise OSError(f"/proc/self/fdinfo/{descriptor} tells no flags")
