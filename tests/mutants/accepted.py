# SPDX-License-Identifier: MIT
"""The mutants that may survive, each with its reason: `accepted.toml`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, List, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_name("accepted.toml")


class Accepted(NamedTuple):
    """One entry.

    Attributes:
        module: The path of the module.
        function: Where in it, as the run prints it; empty at the top.
        before: The lines that the mutant changes.
        after: What it makes of them.
        reason: Why no test tells the two apart.
    """

    module: str
    function: str
    before: str
    after: str
    reason: str


def accepted(path: Path = FILE) -> List[Accepted]:
    """Every entry; a reason may be one for several."""
    document: Any = tomllib.loads(path.read_text())
    return [
        Accepted(group["module"], one["in"], one["before"].strip(), one["after"].strip(), group["reason"])
        for group in document["accepted"] for one in group["mutants"]
    ]
