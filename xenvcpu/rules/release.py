# SPDX-License-Identifier: MIT
"""Releases of Xen, and from which of them on something holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xenvcpu.errors import ContextError

TIP = 999
"""The point number that stands for the newest commit of a stable branch."""

OLDEST, NEWEST = 7, 22
_SHOWN = 40
_TEXT = re.compile(r"4\.(\d{1,5})(?:\.(\d{1,5}))?(-[\w.+~-]+)?", re.ASCII)


@dataclass(frozen=True, order=True)
class Release:
    """A release of Xen 4: `Release(17, 3)` is 4.17.3; without a point, the tip of its branch."""

    minor: int
    point: int = TIP

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read `4.17`, `4.17.3`, `4.20.4-pre` (a build before 4.20.4: counted as 4.20.3) or `staging`.

        Raises:
            ContextError: Not a release of Xen that has the interface (4.7 and later).
        """
        if text == "staging":
            return cls(NEWEST + 1)
        match = _TEXT.fullmatch(text)
        if match is None or int(match[1]) < OLDEST:
            raise ContextError(
                f"{text[:_SHOWN]!r} is not a Xen release with VCPUOP_initialise for HVM guests", field="xen",
                value=text[:_SHOWN], rule="release",
                remedy=f"give 4.{OLDEST} to 4.{NEWEST}, a point release such as 4.17.3, or staging",
            )
        point = TIP if match[2] is None else int(match[2])
        is_before = match[2] is not None and (match[3] or "").startswith(("-pre", "-rc", "-unstable"))
        return cls(int(match[1]), max(point - 1, 0) if is_before else point)

    @classmethod
    def from_hypervisor(cls, major: int, minor: int, extra: str) -> Release:
        """From what XENVER_version and XENVER_extraversion (`.7`, `.4-pre`, `-unstable`) say."""
        if major != 4:
            return cls(NEWEST + 1)
        match = re.match(r"\.\d{1,5}(-pre|-rc\w*)?", extra, re.ASCII)
        return cls.parse(f"4.{minor}{match[0] if match else ''}") if minor >= OLDEST else cls(minor)

    def __str__(self) -> str:
        return f"4.{self.minor}" if self.point == TIP else f"4.{self.minor}.{self.point}"

    @property
    def is_known(self) -> bool:
        """Whether the tables were made with this release; a newer one is judged as the newest known."""
        return OLDEST <= self.minor <= NEWEST


class Since:
    """The releases from which on a change holds, backports included.

    `Since("4.8.5", "4.9.3", "4.10")` holds in 4.8.5 and later points of 4.8, in 4.9.3 and
    later points of 4.9, and in everything from 4.10.0 on.
    """

    def __init__(self, *first: str) -> None:
        self.first = first
        points = (text.split(".") for text in first)
        self._first = {int(part[1]): int(part[2]) if len(part) > 2 else 0 for part in points}
        self._newest = max(self._first)

    def __contains__(self, release: Release) -> bool:
        point = self._first.get(release.minor)
        return release.minor > self._newest if point is None else release.point >= point

    def __repr__(self) -> str:
        return f"Since({', '.join(map(repr, self.first))})"

    @property
    def text(self) -> str:
        """For people: `4.8.5, 4.9.3, 4.10 and later`."""
        return "all" if self.first == (f"4.{OLDEST}",) else f"{', '.join(self.first)} and later"


class Until(Since):
    """The releases before a change: the complement of `Since` with the same arguments."""

    def __contains__(self, release: Release) -> bool:
        return not super().__contains__(release)

    def __repr__(self) -> str:
        return f"Until({', '.join(map(repr, self.first))})"

    @property
    def text(self) -> str:
        """For people: `before 4.19`."""
        return f"before {', '.join(self.first)}"


ALWAYS = Since(f"4.{OLDEST}")
KNOWN = tuple(Release(minor) for minor in range(OLDEST, NEWEST + 1))
"""The tip of every stable branch that the tables cover."""
