# SPDX-License-Identifier: MIT
"""Which releases a change holds in."""

from __future__ import annotations

import pytest

from xenvcpu.errors import ContextError
from xenvcpu.rules.release import ALWAYS, KNOWN, Release, Since, Until

BACKPORTED = "4.8.5", "4.9.3", "4.10"


@pytest.mark.parametrize(
    "release, holds",
    [
        ("4.7", False),
        ("4.8.4", False),
        ("4.8.5", True),
        ("4.8", True),
        ("4.9.2", False),
        ("4.9.3", True),
        ("4.10.0", True),
    ],
)
def test_a_backported_change_holds_from_each_branchs_own_point_release(release: str, holds: bool) -> None:
    assert (Release.parse(release) in Since(*BACKPORTED)) is holds


@pytest.mark.parametrize("release", [*KNOWN, Release.parse("4.8.4"), Release.parse("4.9.3"), Release.parse("staging")])
def test_until_is_the_complement_of_since(release: Release) -> None:
    assert (release in Until(*BACKPORTED)) is not (release in Since(*BACKPORTED))


@pytest.mark.parametrize(
    "releases, text", [(ALWAYS, "all"), (Since("4.8.5", "4.9"), "4.8.5, 4.9 and later"), (Until("4.19"), "before 4.19")]
)
def test_the_text_says_which_releases(releases: Since, text: str) -> None:
    assert releases.text == text


@pytest.mark.parametrize("text", ["4." + "9" * 5000, "4.17." + "9" * 5000, "4.17" + " " * 5000, "4.\u0661\u0667"])
def test_what_is_no_release_is_refused_in_short(text: str) -> None:
    with pytest.raises(ContextError) as caught:
        Release.parse(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("extra", [".7", ".4-pre", "-unstable", "." + "9" * 5000, ".\u0661", "", "\x1b[2J"])
def test_a_hypervisor_may_call_itself_what_it_likes(extra: str) -> None:
    assert Release.from_hypervisor(4, 17, extra).minor == 17
