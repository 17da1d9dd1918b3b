# SPDX-License-Identifier: MIT
"""What the suites counted is what `counts.json` says, and the README quotes that.

After a change of the suites, or of the calls that an operation makes:

    XENVCPU_COUNTS=write pytest tests/promises
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Dict

import pytest
from promises.conftest import KINDS, Totals

COUNTS = Path(__file__).with_name("counts.json")
README = Path(__file__).resolve().parents[2] / "README.md"
def kept(totals: Totals) -> Totals:
    """What does not depend on the moment: a SIGKILL may come before or after the change is done."""
    return {
        suite: {what: number for what, number in counts.items() if what in ("tests", "lost", *KINDS)}
        for suite, counts in totals.items()
    }


def sums(promised: Totals) -> Dict[str, int]:
    """How many faults and kills all suites counted."""
    found = dict.fromkeys(KINDS.values(), 0)
    for counts in promised.values():
        for unit, kind in KINDS.items():
            found[kind] += counts.get(unit, 0)
    return found


def test_every_suite_counted_what_is_promised(totals: Totals) -> None:
    """Runs last, by its name; where only some tests were asked for, there is nothing to compare."""
    if os.environ.get("XENVCPU_COUNTS") == "write":
        COUNTS.write_text(json.dumps(kept(totals), indent=2) + "\n", encoding="utf-8")
    promised: Totals = json.loads(COUNTS.read_text(encoding="utf-8"))
    missing = [name for name, counts in promised.items() if totals.get(name, {"tests": 0})["tests"] < counts["tests"]]
    if missing:
        pytest.skip(f"not all tests were run of {', '.join(missing)}")
    assert kept(totals) == promised


def test_nothing_was_lost() -> None:
    promised: Totals = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert {name: counts["lost"] for name, counts in promised.items()} == dict.fromkeys(promised, 0)


def test_the_readme_quotes_the_sums() -> None:
    section = re.search(r"^## Promises\n(.*?)(?=^## )", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert section, "no section `## Promises`"
    promised: Totals = json.loads(COUNTS.read_text(encoding="utf-8"))
    quotes = [f"{number:,} {kind}, 0 lost" for kind, number in sums(promised).items()]
    assert [quote for quote in quotes if quote not in section[1]] == []
