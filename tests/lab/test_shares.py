# SPDX-License-Identifier: MIT
"""Which host runs which suites."""

from pathlib import Path

import pytest

from integration.lab.image import PROJECT
from integration.lab.releases import RELEASES, WHOLE, find_release
from integration.lab.runs import SMOKE, Order, plan
from integration.lab.shares import NEEDS_LIBVIRT, OTHERS, SECONDS, SHARE, shares, spread, suites, weight

FILES = suites(PROJECT)


def test_the_suites_that_take_long_are_there() -> None:
    """A file that was renamed would be taken for a short one."""
    assert set(SECONDS) <= set(FILES)
    assert Path(PROJECT, FILES[0]).is_file()


@pytest.mark.parametrize("is_full", [False, True])
def test_each_suite_of_a_release_runs_on_one_host(is_full: bool) -> None:
    """None is left out, none runs twice, and no host has much more to do than another."""
    weights = {name: weight(name, find_release("4.17"), is_full) for name in FILES}
    parts = spread(weights, 3)
    assert sorted(name for _, names in parts for name in names) == FILES
    seconds = [seconds for seconds, _ in parts]
    assert sum(seconds) == sum(weights.values())
    assert max(seconds) - min(seconds) <= max(weights.values())


def test_a_little_is_not_spread() -> None:
    """A host more costs a boot."""
    assert len(spread({"a": 30.0, "b": SHARE}, 2)) == 1
    many = {str(number): SHARE / 10 for number in range(40)}
    assert [round(seconds) for seconds, _ in spread(many, 2)] == [round(2 * SHARE)] * 2
    assert spread({}, 2) == [(0.0, [])]


def test_what_is_skipped_takes_no_time() -> None:
    """Libvirt is in some images only."""
    without, with_it = (weight(NEEDS_LIBVIRT, find_release(name), True) for name in ("4.20", "4.17"))
    assert without < OTHERS < with_it


def test_shares_are_named_by_release_and_number() -> None:
    """The number is there where there is more than one."""
    releases = [find_release("4.17"), find_release("4.20")]
    assert [share.name for share in shares(releases, (), ("-k", "x"), False, 2)] == ["4.17", "4.20"]
    made = shares(releases, FILES, ("-x",), True, 2)
    assert [share.name for share in made] == ["4.17/1", "4.17/2", "4.20/1", "4.20/2"]
    assert all(share.arguments[0] == "-x" for share in made)


def test_all_suites_on_some_releases_and_a_few_tests_on_the_others() -> None:
    """The few only if they are asked for; then each release is in the plan."""
    assert {share.release.name for share in plan(Order(), FILES, 2)} == set(WHOLE)
    made = plan(Order(has_smoke=True), FILES, 2)
    smoke = {share.release.name for share in made if share.arguments == SMOKE}
    assert {share.release.name for share in made} == set(RELEASES)
    assert smoke == set(RELEASES) - set(WHOLE)
    assert [share.seconds for share in made] == sorted((share.seconds for share in made), reverse=True)


def test_only_what_is_asked_for() -> None:
    """A release, some tests of it, or one in full beside a few tests of all others."""
    assert {share.release.name for share in plan(Order(("4.20",)), FILES, 2)} == {"4.20"}
    (one,) = plan(Order(("4.20",), ("-k", "kills")), FILES, 2)
    assert (one.name, one.arguments) == ("4.20", ("-k", "kills"))
    assert {share.name for share in plan(Order((), ("-k", "kills")), FILES, 2)} == set(WHOLE)
    (named,) = plan(Order(("4.14",), ("integration/test_lab.py",)), FILES, 2)
    assert named.arguments == ("integration/test_lab.py",)
    made = plan(Order(("4.17",), has_smoke=True, is_full=True), FILES, 2)
    assert {share.release.name for share in made if share.arguments == SMOKE} == set(RELEASES) - {"4.17"}
    assert {share.release.name for share in made if share.is_full} == {"4.17"}
