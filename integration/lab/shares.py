# SPDX-License-Identifier: MIT
"""Which host runs which suites: releases side by side, and one release on more than one host."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

from integration.lab.releases import Release

#: Seconds that suites take where they take long, each with brisk and with full counts. No verdict depends on them,
#: only how evenly hosts are busy.
SECONDS: Dict[str, Tuple[float, float]] = {
    "integration/test_command.py": (45, 45),
    "integration/test_demo.py": (40, 40),
    "integration/test_dom0_start.py": (55, 55),
    "integration/test_kills.py": (120, 420),
    "integration/test_linux_guest.py": (120, 120),
    "integration/test_races.py": (70, 120),
    "integration/test_soak.py": (60, 180),
    "integration/toolstacks/test_ansible.py": (120, 120),
    "integration/toolstacks/test_deb.py": (90, 90),
    "integration/toolstacks/test_libvirt.py": (90, 90),
}
OTHERS = 25.0

#: A release is spread over hosts so that each is busy for about so long: a boot costs some 25 s.
SHARE = 450.0


@dataclass(frozen=True)
class Share:
    """What one host is to run.

    Attributes:
        name: What it is called in progress and results: that of the release, and a number if it has more than one.
        release: What is booted.
        arguments: What pytest is given.
        seconds: How long it may well take.
    """

    name: str
    release: Release
    arguments: Tuple[str, ...] = ()
    seconds: float = 0.0


def suites(project: Path) -> List[str]:
    """Returns the files of all suites."""
    found = (project / "integration").rglob("test_*.py")
    return sorted(str(path.relative_to(project)) for path in found)


def spread(files: Iterable[str], is_full: bool, most: int) -> List[Tuple[float, List[str]]]:
    """Divides files evenly among hosts, the longest first, each file to the host that has least to do.

    Args:
        files: The files.
        is_full: Whether with full counts.
        most: No more hosts than that.
    """
    weights = {name: SECONDS.get(name, (OTHERS, OTHERS))[is_full] for name in files}
    number = min(most, max(1, round(sum(weights.values()) / SHARE)))
    shares: List[Tuple[float, List[str]]] = [(0.0, []) for _ in range(number)]
    for name in sorted(weights, key=lambda name: -weights[name]):
        seconds, names = min(shares, key=lambda share: share[0])
        shares[shares.index((seconds, names))] = (seconds + weights[name], [*names, name])
    return [(seconds, sorted(names)) for seconds, names in shares]


def shares(
    releases: Sequence[Release], files: Sequence[str], arguments: Tuple[str, ...], is_full: bool, most: int
) -> List[Share]:
    """Returns the shares of releases, each with all suites.

    Args:
        releases: What is booted.
        files: The suites; none if ``arguments`` choose the tests.
        arguments: What pytest is given besides.
        is_full: Whether with full counts.
        most: No more hosts for a release than that.
    """
    made = []
    for release in releases:
        parts = spread(files, is_full, most) if files else [(0.0, [])]
        for number, (seconds, names) in enumerate(parts, 1):
            name = release.name if len(parts) == 1 else f"{release.name}/{number}"
            made.append(Share(name, release, (*arguments, *names), seconds))
    return made


def longest_first(made: Iterable[Share]) -> List[Share]:
    """Returns shares in the order in which hosts take them."""
    return sorted(made, key=lambda share: -share.seconds)
