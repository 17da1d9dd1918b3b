# SPDX-License-Identifier: MIT
"""What follows from findings."""

from __future__ import annotations

from typing import Optional, Tuple

import pytest

from xenvcpu.rules.verdict import Finding, Level, Verdict

REFUSED = Finding("a", Level.REJECTED, "cr0", 16, "no", errno="EINVAL", console="d{domid}v{vcpuid}: no")
LATER = Finding("b", Level.REJECTED, "cr4", 1, "no", errno="ENXIO")
FATAL = Finding("c", Level.FATAL, "cr3", 1, "dies", kills_host=True)
WARNING = Finding("d", Level.WARNING, "rsp", 0, "odd")


@pytest.mark.parametrize("findings, level, said, errno", [
    ((), None, "accepted", None), ((WARNING,), Level.WARNING, "accepted", None),
    ((WARNING, FATAL), Level.FATAL, "fatal", None), ((FATAL, REFUSED, LATER), Level.REJECTED, "rejected", "EINVAL"),
    ((WARNING, LATER, REFUSED), Level.REJECTED, "rejected", "ENXIO"),
])
def test_the_worst_finding_is_the_verdict(
    findings: Tuple[Finding, ...], level: Optional[Level], said: str, errno: Optional[str]
) -> None:
    verdict = Verdict(findings)
    assert (verdict.level, verdict.verdict, verdict.errno) == (level, said, errno)


@pytest.mark.parametrize("domid, vcpuid, line", [
    (None, None, "dNvN: no"), (0, 0, "d0v0: no"), (7, None, "d7vN: no"), (None, 3, "dNv3: no"),
])
def test_a_console_line_names_domain_and_vcpu_where_they_are_known(
    domid: Optional[int], vcpuid: Optional[int], line: str
) -> None:
    verdict = Verdict((REFUSED, WARNING), ("vendor",)).naming(domid, vcpuid)
    assert verdict.console == (line,)
    assert [found.rule for found in verdict.findings] == ["a", "d"] and verdict.depends_on == ("vendor",)


def test_warnings_are_added_at_the_end() -> None:
    verdict = Verdict((FATAL,), ("vendor",)).warned(WARNING, WARNING)
    assert verdict == Verdict((FATAL, WARNING, WARNING), ("vendor",))


def test_a_finding_is_printed_with_the_hosts_risk_where_there_is_one() -> None:
    plain = {"rule": "d", "level": "warning", "field": "rsp", "value": "0x0", "message": "odd"}
    assert WARNING.as_dict() == plain and FATAL.as_dict()["kills_host"] is True


def test_a_verdict_is_printed_with_all_that_it_says() -> None:
    assert Verdict((REFUSED, WARNING), ("vendor",)).as_dict() == {
        "verdict": "rejected", "errno": "EINVAL", "findings": [REFUSED.as_dict(), WARNING.as_dict()],
        "depends_on": ["vendor"],
    }
