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


TARGETS = (
    Target(
        "changes",
        ("xenvcpu/readback.py", "xenvcpu/putback.py", "xenvcpu/transaction.py", "xenvcpu/guard"),
        ("tests/start", "tests/guard"),
    ),
    Target("codecs", ("xenvcpu/encoding.py", "xenvcpu/abi"), ("tests/abi", "tests/start/test_dom0_start.py")),
    Target(
        "rules", ("xenvcpu/rules",),
        (
            "tests/rules", "tests/start/test_together.py", "tests/verdicts/test_replay.py",
            "tests/verdicts/test_traces.py",
        ),
    ),
)
"""Each collects its tests once: what has the same tests is one target."""


def wanted(modules: Sequence[str], names: Sequence[str]) -> List[str]:
    """Those that are named by a part of their path, as in `guard/` or `readback`; all where nothing is named."""
    return [module for module in modules if not names or any(name in module for name in names)]
