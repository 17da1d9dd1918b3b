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


@pytest.mark.parametrize("text, release", [
    ("4.7", Release(7)), ("4.17", Release(17)), ("4.17.3", Release(17, 3)), ("4.17.0", Release(17, 0)),
    ("4.20.4-pre", Release(20, 3)), ("4.20.1-rc1", Release(20, 0)), ("4.20.0-rc2", Release(20, 0)),
    ("4.17.2-unstable", Release(17, 1)), ("4.17-unstable", Release(17)), ("4.17.3-debian", Release(17, 3)),
    ("4.22", Release(22)), ("4.23.1", Release(23, 1)), ("staging", Release(23)),
])
def test_a_build_before_a_point_release_counts_as_the_one_before_it(text: str, release: Release) -> None:
    assert Release.parse(text) == release


@pytest.mark.parametrize("text", ["", "4", "4.6", "4.6.9", "5.1", "4.17.1.1", "v4.17", "4.17-", "Staging"])
def test_only_releases_that_have_the_interface_are_read(text: str) -> None:
    with pytest.raises(ContextError) as caught:
        Release.parse(text)
    assert (caught.value.rule, caught.value.field, caught.value.value) == ("release", "xen", text)


def test_of_what_is_no_release_the_beginning_is_shown() -> None:
    with pytest.raises(ContextError) as caught:
        Release.parse("9" * 41)
    assert caught.value.value == "9" * 40 and f"{'9' * 40!r} is not" in str(caught.value)


@pytest.mark.parametrize("version, release", [
    ((4, 17, ".7"), Release(17, 7)), ((4, 20, ".4-pre"), Release(20, 3)), ((4, 20, ".0-rc3"), Release(20, 0)),
    ((4, 18, "-unstable"), Release(18)), ((4, 17, ""), Release(17)), ((4, 17, ".3-debian"), Release(17, 3)),
    ((4, 7, ".1"), Release(7, 1)), ((4, 6, ".1"), Release(6)), ((3, 17, ".1"), Release(23)), ((5, 0, ""), Release(23)),
])
def test_a_hypervisors_own_version_is_read_as_far_as_it_is_known(
    version: tuple[int, int, str], release: Release
) -> None:
    assert Release.from_hypervisor(*version) == release


@pytest.mark.parametrize("text", ["4.7", "4.17", "4.17.0", "4.17.3"])
def test_a_release_is_printed_as_it_is_given(text: str) -> None:
    assert str(Release.parse(text)) == text


@pytest.mark.parametrize("minor, is_known", [(6, False), (7, True), (22, True), (23, False)])
def test_the_tables_cover_4_7_to_4_22(minor: int, is_known: bool) -> None:
    assert Release(minor).is_known is is_known and (Release(minor) in KNOWN) is is_known


def test_the_tip_of_a_branch_is_behind_its_points_and_before_the_next_branch() -> None:
    assert Release(17, 0) < Release(17, 3) < Release(17) < Release(18, 0)


@pytest.mark.parametrize("release, holds", [
    ("4.7", False), ("4.8.4", False), ("4.8.5", True), ("4.9", False), ("4.10.1", False), ("4.10.2", True),
    ("4.11.0", True), ("staging", True),
])
def test_a_branch_that_got_no_backport_is_without_the_change(release: str, holds: bool) -> None:
    since = Since("4.10.2", "4.8.5")
    assert (Release.parse(release) in since) is holds
    assert (Release.parse(release) in Until("4.10.2", "4.8.5")) is not holds


def test_a_change_can_be_read_again_from_its_repr() -> None:
    for one in (Since(*BACKPORTED), Until("4.19")):
        assert type(eval(repr(one))) is type(one) and eval(repr(one)).first == one.first
