# SPDX-License-Identifier: MIT
"""JUnit XML of several hosts: all verdicts in one file, each with the name of its host."""

import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Dict, Sequence

from integration.lab import junit
from integration.lab.outcome import Outcome, Verdict


def outcome(*verdicts: Verdict, trouble: str = "", xen_failed: str = "", losses: Sequence[str] = ()) -> Outcome:
    tests = {verdict.nodeid: verdict for verdict in verdicts}
    return Outcome(0, 2, list(losses), xen_failed, tests=tests, trouble=trouble)


def cases(tmp_path: Path, outcomes: Dict[str, Outcome]) -> Dict[str, xml.Element]:
    """Writes and reads again; the test cases by class and name."""
    junit.write(tmp_path / "deep/junit.xml", outcomes)
    root = xml.parse(tmp_path / "deep/junit.xml").getroot()
    return {f"{case.get('classname')}::{case.get('name')}": case for case in root.iter("testcase")}


def test_every_verdict_of_every_host_is_there(tmp_path: Path) -> None:
    """The same test on two hosts is two cases."""
    first = Verdict("integration/deep/test_x.py::test_a[b::c]", "passed", 1.5, properties=(("pause_ms", 3),))
    text = "E  assert 1\ntest_x.py:3: AssertionError"
    second = Verdict("integration/deep/test_x.py::test_a[b::c]", "failed", 0.1, text)
    third = Verdict("integration/test_y.py::TestIt::test_z", "skipped", 0.0, "no libvirt\nhere")
    found = cases(tmp_path, {"4.17/1": outcome(first), "4.20": outcome(second, third)})
    assert list(found) == [
        "4.17/1: integration.deep.test_x::test_a[b::c]",
        "4.20: integration.deep.test_x::test_a[b::c]",
        "4.20: integration.test_y.TestIt::test_z",
    ]
    passed, failed, skipped = found.values()
    assert [child.tag for child in passed] == ["properties"] and passed.get("time") == "1.500"
    (failure,), (skip,) = list(failed), list(skipped)
    assert (failure.tag, failure.get("message")) == ("failure", "test_x.py:3: AssertionError")
    assert failure.text == second.detail
    assert (skip.tag, skip.get("message")) == ("skipped", "no libvirt")


def test_a_host_without_an_end_is_an_error(tmp_path: Path) -> None:
    """What it told before is there too."""
    told = Verdict("integration/test_x.py::test_a", "passed")
    found = cases(tmp_path, {"4.20": outcome(told, trouble="host lost on every attempt: silence")})
    assert [child.tag for child in found["4.20: host::4.20"]] == ["error"]
    assert "4.20: integration.test_x::test_a" in found
    suite = xml.parse(tmp_path / "deep/junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("2", "1", "0")


def test_a_failed_xen_and_too_many_lost_hosts_are_failures(tmp_path: Path) -> None:
    """Whatever came of the tests there; one of two hosts may be lost."""
    told = Verdict("integration/test_x.py::test_a", "passed")
    failed, lost = outcome(told, xen_failed="Xen failed:\n(XEN) Xen BUG at x.c:1\n--- Xen"), outcome(told, losses=["a"])
    found = cases(tmp_path, {"4.14": failed, "4.17": lost})
    (failure,) = found.pop("4.14: xen::4.14")
    assert (failure.tag, failure.get("message")) == ("failure", "(XEN) Xen BUG at x.c:1")
    assert not any(len(case) for case in found.values())
    (failure,) = cases(tmp_path, {"4.17": lost, "4.20": lost})["hosts: hosts::lost"]
    assert failure.text == "4.17: a\n4.20: a"


def test_what_xml_cannot_hold_is_escaped(tmp_path: Path) -> None:
    """Consoles speak with control characters."""
    told = Verdict("integration/test_x.py::test_a", "failed", detail="\x1b[31mred\x00\udc80")
    (case,) = cases(tmp_path, {"4.17": outcome(told)}).values()
    assert case[0].text == "\\x1b[31mred\\x00\\xdc80"
