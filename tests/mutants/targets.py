# SPDX-License-Identifier: MIT
"""Which modules are mutated, and which tests are to notice it."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple


class Target(NamedTuple):
    """Modules that share a list of tests.

    Attributes:
        name: What the command line calls them.
        files: Modules, or folders of modules.
        tests: Files or folders of tests.
    """

    name: str
    files: Tuple[str, ...]
    tests: Tuple[str, ...]

    def modules(self, root: Path) -> List[str]:
        """The modules, as paths from the root of a tree."""
        found = (sorted((root / name).glob("*.py")) or [root / name] for name in self.files)
        return [str(path.relative_to(root)) for each in found for path in each]


_CHANGES = ("tests/start", "tests/guard")
_RULES = ("tests/rules", "tests/verdicts/test_replay.py", "tests/verdicts/test_traces.py")

TARGETS = (
    Target("readback", ("xenvcpu/readback.py",), _CHANGES),
    Target("putback", ("xenvcpu/putback.py",), _CHANGES),
    Target("transaction", ("xenvcpu/transaction.py",), _CHANGES),
    Target("guard", ("xenvcpu/guard",), _CHANGES),
    Target("rules", ("xenvcpu/rules",), _RULES),
    Target("encoding", ("xenvcpu/encoding.py",), ("tests/abi", "tests/context", "tests/start/test_guest_start.py")),
    Target("abi", ("xenvcpu/abi",), ("tests/abi", "tests/start/test_dom0_start.py")),
)


def chosen(names: Sequence[str]) -> Tuple[Target, ...]:
    """The targets of these names, or all; a module's path names its target.

    Raises:
        KeyError: There is none of that name.
    """
    known = {target.name: target for target in TARGETS}
    return tuple(known[name] for name in names) if names else TARGETS
