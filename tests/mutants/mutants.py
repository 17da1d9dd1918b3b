# SPDX-License-Identifier: MIT
"""Mutation testing: `python tests/mutants/mutants.py [MODULE...] [--sample N]`.

Every mutant of the modules in `targets.py` is to make a test fail, or to be in `accepted.toml` with a reason. One that
survives without is printed, and the exit code is 1. `--sample` takes so many of each module, chosen by `--seed`. The
outcomes are added to `build/mutants.jsonl` as they come; `--resume` does not try again what was killed according to it.

Why no tool as it is: mutmut 3 runs a mutant in a fork too, but has none at the top of a module or in a decorated
function (of `abi/cpu_record.py` it would try 12 of 191, of `rules/advice.py` 281 of 606). cosmic-ray starts pytest for
each of 241 mutants of `readback.py`, seconds each, and leaves no statement out. Both number their mutants, so that an
edit renames them. The operators on single nodes are mutmut's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Sequence, Set

if __name__ == "__main__":
    # Behind the installed package, as in the tests, so that this is `tests.mutants`.
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.mutants.accepted import accepted
from tests.mutants.forks import copy
from tests.mutants.mutations import Mutant, Name, mutants
from tests.mutants.reach import reach
from tests.mutants.targets import TARGETS, Target, wanted
from tests.mutants.trial import Outcome, Trials

CHECKOUT = Path(__file__).resolve().parents[2]
OUTCOMES = Path("build/mutants.jsonl")
Outcomes = Dict[Mutant, Outcome]


def run(root: Path, target: Target, made: Sequence[Mutant], outcomes: Path) -> Outcomes:
    """Try mutants of a target in a copy of the checkout, and add how each fared to a file."""
    found: Outcomes = {}
    if not made:
        return found
    modules = target.modules(root)
    texts = {module: (root / module).read_text() for module in modules}
    trials = Trials(root, target.tests, reach(root, modules, target.tests), texts)
    outcomes.parent.mkdir(exist_ok=True)
    with outcomes.open("a") as file:

        def note(mutant: Mutant, outcome: Outcome) -> None:
            found[mutant] = outcome
            print(json.dumps([*mutant.name, outcome.name]), file=file, flush=True)

        trials.run(made, note)
    return found


def killed(outcomes: Path) -> Set[Name]:
    """What was killed in earlier runs, where it was tried last."""
    last: Dict[Name, str] = {}
    for line in outcomes.read_text().splitlines() if outcomes.exists() else ():
        module, function, before, after, outcome = json.loads(line)
        last[module, function, before, after] = outcome
    return {name for name, outcome in last.items() if outcome != Outcome.SURVIVED.name}


def main(arguments: Sequence[str]) -> int:
    """Try the mutants of the modules named, or of all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a part of the path of modules, as in guard/")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="leave out what was killed before")
    given = parser.parse_args(arguments)
    before = killed(OUTCOMES) if given.resume else set()
    began = time.monotonic()
    made: List[Mutant] = []
    found: Outcomes = {}
    for target in TARGETS:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            root = Path(folder, "copy")
            copy(CHECKOUT, root)
            some: List[Mutant] = []
            for module in wanted(target.modules(root), given.modules):
                some += mutants(module, (root / module).read_text(), given.sample, given.seed)
            made += some
            found.update(run(root, target, [mutant for mutant in some if mutant.name not in before], OUTCOMES))
    return report(made, found, time.monotonic() - began)


def report(made: Sequence[Mutant], found: Outcomes, seconds: float) -> int:
    """Print what came of it; returns the exit code."""
    reasons = {one[:4] for one in accepted()}
    survived = {mutant.name for mutant, outcome in found.items() if outcome is Outcome.SURVIVED}
    unexplained = [mutant for mutant in found if mutant.name in survived - reasons]
    dead = [mutant for mutant in found if mutant.name in reasons - survived]
    for mutant in unexplained:
        print(f"survived without a reason: {mutant.diff}")
    for mutant in dead:
        print(f"has a reason to survive, and was killed: {mutant.diff}")
    print("{:36} {:>7} {:>7} {:>9} {:>5}".format("module", "mutants", "killed", "accepted", "open"))
    for module in [*dict.fromkeys(mutant.module for mutant in made), ""]:
        names = [mutant.name for mutant in made if mutant.module.startswith(module)]
        alive, open_ = survived.intersection(names), (survived - reasons).intersection(names)
        counts = (len(names), len(names) - len(alive), len(alive) - len(open_), len(open_))
        print("{:36} {:7} {:7} {:9} {:5}".format(module or f"all, in {seconds:.0f} s", *counts))
    return int(bool(unexplained or dead))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
