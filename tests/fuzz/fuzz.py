# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of every decoder, with atheris: `python tests/fuzz/fuzz.py [TARGET...] --seconds N`.

Each target runs in a process of its own, two at a time, bounded in time, memory and size of its
input. One line is printed for each, and a total. The exit code is 1 when something crashed:
the input is kept, and the command that repeats it is shown. Without atheris it is 5.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple

if __name__ == "__main__":
    # Behind the installed package, as in the tests, so that this is `tests.fuzz` and `integration` is found.
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.fuzz.target import Target, table, write_seeds

SECONDS_EACH = 5
"""The longest that one input may take."""
MEMORY_MIB = 1024
ADDRESSES = 4 << 30
"""What a process may map at most: one huge allocation fails, and is a crash."""
AT_ONCE = 2
DONE, FAILED, HOST = 0, 1, 5
_CHILD = "--child"
_PROBED = ("xenvcpu", "tests.fuzz", "integration", "tomllib", "tomli", "json")


class Outcome(NamedTuple):
    """How the fuzzing of one target ended.

    Attributes:
        name: The target.
        runs: How many inputs were tried.
        crashes: The inputs that it crashed on, where they are kept.
        said: The end of what the process printed, where it crashed.
    """

    name: str
    runs: int
    crashes: Tuple[Path, ...]
    said: str

    @property
    def line(self) -> str:
        """The line for this target."""
        return f"{self.name}: {self.runs:,} runs, {len(self.crashes)} crash{'es' * (len(self.crashes) != 1)}"


def _child(name: str, arguments: Sequence[str]) -> None:
    """Fuzz one target in this process, which libFuzzer then ends."""
    atheris = importlib.import_module("atheris")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with atheris.instrument_imports(include=_PROBED):
        target = _chosen([name])[0]
    atheris.Setup([sys.argv[0], *arguments], target.examine)
    atheris.Fuzz()


def _output(command: Sequence[str], patience: int) -> Tuple[int, str]:
    """The exit code of a process, and what it printed; one that does not end is killed."""
    try:
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as error:
        return FAILED, (error.output or b"").decode(errors="replace") + f"\nkilled after {patience} s"
    return ran.returncode, ran.stdout


def _fuzz(target: Target, seconds: int, kept: Path) -> Outcome:
    kept = kept / target.name
    kept.mkdir(parents=True, exist_ok=True)
    before = set(kept.iterdir())
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{target.name}-") as scratch:
        corpus, words = Path(scratch, "corpus"), Path(scratch, "words")
        write_seeds(target, corpus)
        # libFuzzer takes no empty dictionary.
        words.write_text("".join(f'"{word}"\n' for word in target.words or (target.name,)))
        arguments = (
            f"-max_total_time={seconds}", f"-timeout={SECONDS_EACH}", f"-rss_limit_mb={MEMORY_MIB}",
            f"-max_len={target.max_len}", f"-artifact_prefix={kept}{os.sep}", f"-dict={words}", "-print_final_stats=1",
            str(corpus),
        )
        code, said = _output([sys.executable, __file__, _CHILD, target.name, *arguments], 2 * seconds + 120)
    crashes = tuple(sorted(set(kept.iterdir()) - before))
    if not crashes and not before:
        kept.rmdir()
    counts = re.findall(r"number_of_executed_units: (\d+)|^#(\d+)\s", said, re.MULTILINE)
    runs = max((int(total or counted) for total, counted in counts), default=0)
    if (code or not runs) and not crashes:
        crashes = (kept / (f"exit-code-{code}" if code else "no-runs"),)
    return Outcome(target.name, runs, crashes, said[-4000:] if crashes else "")


def _chosen(names: Sequence[str]) -> List[Target]:
    known = {target.name: target for target in table()}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such target: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def _replay(target: Target, path: Path) -> int:
    """One input, without atheris: a traceback if it crashes."""
    target.examine(path.read_bytes())
    print(f"{target.name}: {path}: no crash")
    return DONE


def _run(targets: Sequence[Target], seconds: int, kept: Path) -> int:
    runs = crashes = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda target: _fuzz(target, seconds, kept), targets):
            print(outcome.line, flush=True)
            runs, crashes = runs + outcome.runs, crashes + len(outcome.crashes)
            if outcome.crashes:
                print(outcome.said, file=sys.stderr)
            for path in outcome.crashes:
                again = f"{sys.executable} {sys.argv[0]} {outcome.name} --input {path}"
                print(f"  repeat it: {again}" if path.exists() else f"  {path.name}: it ended so without an input")
    with suppress(OSError):
        kept.rmdir()  # only if it is empty
    print(f"{len(targets)} targets: {runs:,} runs, {crashes} crash{'es' * (crashes != 1)}")
    return FAILED if crashes else DONE


def main() -> int:
    """The command.

    Returns:
        The exit code.
    """
    if sys.argv[1:2] == [_CHILD]:
        _child(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="the decoders; all if none is named")
    parser.add_argument("--seconds", type=int, default=30, help="how long for each (default: 30)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="run one input and nothing else")
    parser.add_argument("--crashes", type=Path, default=Path("fuzz-crashes"), help="where crashing inputs are kept")
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    given = parser.parse_args()
    targets = _chosen(given.targets)
    if given.list:
        print("\n".join(target.name for target in targets))
        return DONE
    if given.input is not None:
        return _replay(targets[0], given.input)
    try:
        importlib.import_module("atheris")
    except ImportError as error:
        print(
            f"fuzz: atheris is not installed ({error}): pip install 'xenvcpu[fuzz]'; it has wheels for Linux on x86-64,"
            " CPython 3.11 to 3.13", file=sys.stderr,
        )
        return HOST
    return _run(targets, given.seconds, given.crashes)


if __name__ == "__main__":
    sys.exit(main())
