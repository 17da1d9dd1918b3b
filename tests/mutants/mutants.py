# SPDX-License-Identifier: MIT
"""Mutation testing: `python tests/mutants/mutants.py [TARGET...] [--sample N]`.

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
from tests.mutants.targets import Target, chosen
from tests.mutants.trial import Outcome, Trials

CHECKOUT = Path(__file__).resolve().parents[2]
OUTCOMES = Path("build/mutants.jsonl")
Outcomes = Dict[Mutant, Outcome]


def run(root: Path, target: Target, wanted: Sequence[Mutant], outcomes: Path) -> Outcomes:
    """Try mutants of a target in a copy of the checkout, and add how each fared to a file."""
    found: Outcomes = {}
    if not wanted:
        return found
    modules = target.modules(root)
    texts = {module: (root / module).read_text() for module in modules}
    trials = Trials(root, target.tests, reach(root, modules, target.tests), texts)
    outcomes.parent.mkdir(exist_ok=True)
    with outcomes.open("a") as file:

        def note(mutant: Mutant, outcome: Outcome) -> None:
            found[mutant] = outcome
            print(json.dumps([*mutant.name, outcome.name]), file=file, flush=True)

        trials.run(wanted, note)
    return found


def killed(outcomes: Path) -> Set[Name]:
    """What was killed in earlier runs, where it was tried last."""
    last: Dict[Name, str] = {}
    for line in outcomes.read_text().splitlines() if outcomes.exists() else ():
        module, function, before, after, outcome = json.loads(line)
        last[module, function, before, after] = outcome
    return {name for name, outcome in last.items() if outcome != Outcome.SURVIVED.name}


def main(arguments: Sequence[str]) -> int:
    """Try the mutants of the targets named, or of all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="leave out what was killed before")
    given = parser.parse_args(arguments)
    before = killed(OUTCOMES) if given.resume else set()
    reasons = {one[:4] for one in accepted()}
    lines, open_, dead = [], [], []
    for target in chosen(given.targets):
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            root, began = Path(folder, "copy"), time.monotonic()
            copy(CHECKOUT, root)
            made: List[Mutant] = []
            for module in target.modules(root):
                made += mutants(module, (root / module).read_text(), given.sample, given.seed)
            found = run(root, target, [mutant for mutant in made if mutant.name not in before], OUTCOMES)
        survived = [mutant for mutant, outcome in found.items() if outcome is Outcome.SURVIVED]
        without = [mutant for mutant in survived if mutant.name not in reasons]
        open_ += without
        dead += [mutant for mutant in found if mutant.name in reasons and mutant not in survived]
        counts = (len(made), len(made) - len(survived), len(survived) - len(without), len(without))
        lines.append("{:12} {:7} {:7} {:9} {:5} {:8.0f}".format(target.name, *counts, time.monotonic() - began))
        print(lines[-1], flush=True)
    for mutant in open_:
        print(f"survived without a reason: {mutant.diff}")
    for mutant in dead:
        print(f"has a reason to survive, and was killed: {mutant.diff}")
    print("\n".join(["target       mutants  killed  accepted  open  seconds", *lines]))
    return int(bool(open_ or dead))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
