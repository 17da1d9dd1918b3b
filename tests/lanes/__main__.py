# SPDX-License-Identifier: MIT
"""Runs stages in lanes, and ends with what ran, what did not, and why.

    python -m tests.lanes --wheel WHEEL STAGE|LABEL... [-- ARGUMENT...]

One stage alone prints on this terminal, and gets the arguments; several run at once, their output in files.
The stages are the environments of tox.ini.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from pathlib import Path
from typing import Callable, List, Sequence

from tests.lanes import closing, machine, run
from tests.lanes.machine import Packages
from tests.lanes.result import Result
from tests.lanes.stage import Stage, UnknownStageError, chosen, stages

_EVERY = 15.0


def _progress() -> Callable[[str], None]:
    """A line that is drawn over again on a terminal; elsewhere a line now and then."""
    last = [time.monotonic()]

    def show(text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text[:os.get_terminal_size().columns - 1]}", end="", flush=True)
        elif time.monotonic() - last[0] >= _EVERY:
            last[0] = time.monotonic()
            print(f"    {text}", flush=True)

    return show


def _ended(result: Result) -> None:
    clear = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(clear + closing.line(result), flush=True)
    if result.failed:
        print(closing.failure(result), flush=True)


def _one(stage: Stage, wheel: Path, more: Sequence[str]) -> List[Result]:
    packages = Packages([stage])
    if not packages.are_ready(stage):
        print(f"{packages.command} ...", flush=True)
    packages.wait()
    result = run.alone(stage, run.command(stage, wheel, more), machine.processors())
    print("\n".join(filter(None, [closing.skips([result]), packages.lacking(), closing.line(result)])))
    return [result]


def _several(wanted: List[Stage], wheel: Path) -> List[Result]:
    began, packages, lanes = time.monotonic(), Packages(wanted), machine.processors()
    print(f"{len(wanted)} stages, {lanes} at once; their output is in build/stages", flush=True)
    command = functools.partial(run.command, wheel=wheel, more=())
    results = run.Lanes(lanes, command, packages, _ended, _progress()).run(wanted)
    print(closing.summary(results, stages(), packages.lacking(), time.monotonic() - began))
    return results


def main(argv: Sequence[str]) -> int:
    """Run the stages named; returns the exit code."""
    words = list(argv)
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python -m tests.lanes", description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel that is tested")
    parser.add_argument("stages", nargs="+", metavar="STAGE", help="names of stages, and labels")
    options, left_out = parser.parse_known_args(words[:cut])
    try:
        wanted = chosen([*options.stages, *left_out], stages())
    except UnknownStageError as error:
        parser.error(str(error))
    wheel, more = options.wheel.resolve(), words[cut + 1:]
    try:
        results = _one(wanted[0], wheel, more) if len(wanted) == 1 else _several(wanted, wheel)
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    return int(closing.lacks_xen(results) or any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
