# SPDX-License-Identifier: MIT
"""Which host runs which suites: releases side by side, and one release on more than one host."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple

from integration.lab.releases import Release

#: Seconds that suites take where they take long, each with brisk and with full counts. No verdict depends on them,
#: only how evenly hosts are busy.
SECONDS: Dict[str, Tuple[float, float]] = {
    "integration/test_bystanders.py": (22, 28),
    "integration/test_demo.py": (7, 27),
    "integration/test_hvm_guest.py": (30, 30),
    "integration/test_kills.py": (20, 270),
    "integration/test_lab_linux.py": (1, 14),
    "integration/test_linux_guest.py": (55, 83),
    "integration/test_modes.py": (13, 25),
    "integration/test_races.py": (37, 95),
    "integration/test_soak.py": (20, 140),
    "integration/toolstacks/test_ansible.py": (33, 180),
    "integration/toolstacks/test_deb.py": (1, 56),
    "integration/toolstacks/test_libvirt.py": (75, 145),
    "integration/toolstacks/test_xapi.py": (18, 59),
}
OTHERS = 10.0
#: Where there is no libvirt all of this is skipped.
NEEDS_LIBVIRT = "integration/toolstacks/test_libvirt.py"

#: A release is spread over hosts so that each is busy for about so long: a boot costs some 25 s.
SHARE = 270.0


@dataclass(frozen=True)
class Share:
    """What one host is to run.

    Attributes:
        name: What it is called in progress and results: that of the release, and a number if it has more than one.
        release: What is booted.
        arguments: What pytest is given.
        seconds: How long it may well take.
        is_full: Whether with full counts.
    """

    name: str
    release: Release
    arguments: Tuple[str, ...] = ()
    seconds: float = 0.0
    is_full: bool = False


def suites(project: Path) -> List[str]:
    """Returns the files of all suites."""
    found = (project / "integration").rglob("test_*.py")
    return sorted(str(path.relative_to(project)) for path in found)


def weight(name: str, release: Release, is_full: bool) -> float:
    """Returns how many seconds a suite may well take."""
    if name == NEEDS_LIBVIRT and not release.has_libvirt:
        return 1.0
    return SECONDS.get(name, (OTHERS, OTHERS))[is_full]


def spread(weights: Mapping[str, float], most: int) -> List[Tuple[float, List[str]]]:
    """Divides suites evenly among hosts, the longest first, each to the host that has least to do.

    Args:
        weights: How long each suite takes.
        most: No more hosts than that.
    """
    number = min(most, max(1, round(sum(weights.values()) / SHARE)))
    parts: List[Tuple[float, List[str]]] = [(0.0, []) for _ in range(number)]
    for name in sorted(weights, key=lambda name: -weights[name]):
        least = min(range(number), key=lambda i: parts[i][0])
        seconds, names = parts[least]
        parts[least] = (seconds + weights[name], [*names, name])
    return [(seconds, sorted(names)) for seconds, names in parts]


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
        parts = spread({name: weight(name, release, is_full) for name in files}, most)
        for number, (seconds, names) in enumerate(parts, 1):
            name = release.name if len(parts) == 1 else f"{release.name}/{number}"
            made.append(Share(name, release, (*arguments, *names), seconds, is_full))
    return made


def longest_first(made: Iterable[Share]) -> List[Share]:
    """Returns shares in the order in which hosts take them."""
    return sorted(made, key=lambda share: -share.seconds)
