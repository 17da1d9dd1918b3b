# SPDX-License-Identifier: MIT
"""The run itself, over a module whose tests are known to miss something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict, Tuple

import pytest

pytest.importorskip("mutmut", reason="mutmut is not installed: `make mutants`")

from tests.mutants.mutations import mutants
from tests.mutants.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
MODULE = '''
import subprocess, sys

def larger(one, other):
    return one if one > other else other

def last(numbers):
    while numbers[1:]:
        numbers = numbers[1:]
    return numbers[0]

def unseen(flag):
    return not flag

def elsewhere():
    return 7

def of_a_process():
    code = "import small; print(small.elsewhere())"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout
'''
TESTS = '''
import small

def test_larger():
    assert small.larger(2, 3) == 3 and small.larger(3, 2) == 3

def test_last():
    assert small.last([4, 5, 6, 7]) == 7

def test_of_a_process():
    assert small.of_a_process().split() == [b"7"]
'''
# A process of its own: the run ends what its forks leave behind.
PROGRAM = """
import sys
from pathlib import Path
from tests.mutants import mutants, trial
from tests.mutants.targets import Target
mutants.CHECKOUT, trial.SLACK, mutants.accepted = Path.cwd(), 8.0, list
mutants.TARGETS = (Target("small", ("small.py",), ("test_small.py",)),)
sys.exit(mutants.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("checkout")
    (made / "small.py").write_text(MODULE)
    (made / "test_small.py").write_text(TESTS)
    return made


def run(checkout: Path, *arguments: str) -> Tuple[int, str]:
    program = f"import sys; sys.path.append({str(ROOT)!r})\n{PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=checkout, stdout=subprocess.PIPE, text=True, check=False,
    )
    return ran.returncode, ran.stdout


def outcomes(checkout: Path) -> Dict[str, str]:
    lines = (checkout / "build/mutants.jsonl").read_text().splitlines()
    return {after: outcome for _, _, _, after, outcome in map(json.loads, lines)}


def test_a_mutant_that_no_test_notices_is_printed_and_fails_the_run(checkout: Path) -> None:
    code, out = run(checkout)
    assert code == 1 and (checkout / "small.py").read_text() == MODULE
    said = out[out.index("survived without a reason") :]
    assert "small.py:5 in larger\n  - return one if one > other else other\n  + return one if one >= other" in said
    assert "small.py:13 in unseen\n  - return not flag\n  + return flag\n" in said and "in last" not in said
    found = outcomes(checkout)
    assert found["while not (numbers[1:]):"] == found["return one if not (one > other) else other"] == "KILLED"
    assert found["return 8"] == "KILLED", "a process that a test started ran the module as it is"
    assert found["numbers = numbers[2:]"] == "KILLED" and found["return flag"] == "SURVIVED"
    again = run(checkout, "--resume")[1]
    assert again[again.index("survived without") :].split("module ")[0] == said.split("module ")[0]
    assert len((checkout / "build/mutants.jsonl").read_text().splitlines()) < 2 * len(found)


def test_a_mutant_that_never_ends_is_ended(checkout: Path) -> None:
    (checkout / "small.py").write_text("def last(it):\n    while it[1:]:\n        it.pop()\n    return it\n")
    (checkout / "test_small.py").write_text("import small\n\ndef test_last():\n    assert small.last([1, 2]) == [1]\n")
    assert run(checkout)[0] == 0
    assert outcomes(checkout)["pass"] == "ENDLESS"


def test_every_target_has_its_modules_and_tests() -> None:
    for target in TARGETS:
        assert target.modules(ROOT) and all((ROOT / test).exists() for test in target.tests)


def test_text_types_and_durations_are_left_alone() -> None:
    text = '"""1."""\nx: "F[1]" = f"{1}" + "2"\nLONG = 1.5\ndef f() -> "x[1]":\n    assert 1 < 2\n    raise E(not 1)\n'
    assert [mutant.after for mutant in mutants("m.py", text)] == ['x: "F[1]" = f"{1}" - "2"', "pass"]


def test_a_false_that_is_returned_is_made_true_and_not_left_out() -> None:
    made = mutants("x.py", "def f():\n    return False\n\n\ndef g():\n    return True\n")
    assert [each.after for each in made] == ["return True", "return None", "return False"]


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    one, again, other = (mutants("small.py", MODULE, 3, seed) for seed in (1, 1, 2))
    assert one == again != other and len(one) == 3
