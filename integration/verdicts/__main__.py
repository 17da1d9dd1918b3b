# SPDX-License-Identifier: MIT
"""``python3 -m integration.verdicts record --release 4.17``: the verdicts of one release, taken anew in the lab.

``judge`` is the part that runs in the dom0. ``sequences`` makes the sequences of calls anew, for all releases.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import List, Optional, Sequence

from integration.evidence import host as here
from integration.verdicts import recipes, store
from integration.verdicts.bases import BASES
from integration.verdicts.judge import FEATURES, Court
from xenvcpu.api import open_host

_RESULTS = Path("/lab/results")
_FILE = "verdicts.json"
_LIMIT = 3600
_SEQUENCES = 60
_ONLY_TRACES = "traces"


def judge(name: str, only: Optional[str], most: Optional[int], target: Path) -> None:
    """Has the running Xen judge the recipes of a release, and writes down what it said."""
    started = time.monotonic()
    given = recipes.of_recording(name)
    sequences = store.sequences() if only in (None, _ONLY_TRACES) and recipes.RELEASES[name] == name else []
    if only is not None:
        given = [recipe for recipe in given if recipe.kind.startswith(only)]
    if most is not None:
        given = random.Random(0).sample(given, most)
    with open_host("dom0") as host, closing(Court(Path(os.environ[here.TINY_VARIABLE]), host.dom0)) as court:
        verdicts = list(court.judge(given, lambda line: print(line, flush=True)))
        seen = court.traces(sequences)
        recording = store.Recording(str(host.dom0.release), FEATURES, BASES, verdicts, seen)
    target.write_bytes(store.dump(recording))
    print(f"{len(verdicts)} verdicts in {time.monotonic() - started:.0f} s")


def keep(name: str, text: bytes, only: Optional[str]) -> Path:
    """Writes down what was recorded; of what was not recorded anew, the old stays."""
    path = store.FOLDER / f"{name}.json.xz"
    recording = store.parse(text)
    if only is not None and path.exists():
        old = [verdict for verdict in store.read(path).verdicts if not verdict.recipe.kind.startswith(only)]
        traces_ = recording.traces or store.read(path).traces
        recording = recording._replace(verdicts=[*old, *recording.verdicts], traces=traces_)
    store.write(path, store.dump(recording))
    return path


def record(name: str, wheel: Optional[Path], only: Optional[str], most: Optional[int]) -> int:
    """Boots the release in the lab, and keeps the verdicts that its Xen gives."""
    with tempfile.TemporaryDirectory(prefix="xenvcpu-verdicts-") as folder:
        command = [sys.executable, "-m", "integration.lab", "exec", "--release", recipes.RELEASES[name]]
        command += ["--results", folder, "--limit", str(_LIMIT)]
        command += ["--wheel", str(wheel)] if wheel else []
        command += ["--", "python3", "-m", "integration.verdicts", "judge", "--release", name]
        command += ["--only", only] if only else []
        command += ["--most", str(most)] if most else []
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            path = keep(name, (Path(folder) / _FILE).read_bytes(), only)
            print(f"{path}: {path.stat().st_size} bytes")
        return status


def make_sequences() -> None:
    """Makes the sequences of calls anew, all on the model first."""
    from integration.verdicts import machine  # hypothesis is where sequences are made, and in no dom0

    made = machine.run("4.17", _SEQUENCES)
    store.write_sequences(made)
    print(f"{store.SEQUENCES}: {len(made)} sequences, {sum(map(len, made))} steps")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m integration.verdicts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parts: List[argparse.ArgumentParser] = [
        commands.add_parser("record", help="take the verdicts of a release anew"),
        commands.add_parser("judge", help="the part of it that runs in a dom0"),
    ]
    for part in parts:
        part.add_argument("--release", required=True, choices=list(recipes.RELEASES))
        part.add_argument("--only", help="the kinds of recipe that begin so, or traces")
        part.add_argument("--most", type=int, help="no more than so many recipes")
    parts[0].add_argument("--wheel", type=Path, help="install this wheel, not a new one")
    parts[1].add_argument("--results", type=Path, default=_RESULTS)
    commands.add_parser("sequences", help="make the sequences of calls anew")
    options = parser.parse_args(argv)
    if options.command == "sequences":
        make_sequences()
        return 0
    if options.command == "record":
        return record(options.release, options.wheel, options.only, options.most)
    judge(options.release, options.only, options.most, options.results / _FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
