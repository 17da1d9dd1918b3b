# SPDX-License-Identifier: MIT
"""What a check says: findings, and the verdict that follows from them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any, Optional, Tuple


class Level(str, enum.Enum):
    """How bad a finding is."""

    REJECTED = "rejected"
    """Xen refuses the context."""
    FATAL = "fatal"
    """Xen accepts it; the processor refuses, and the domain crashes."""
    WARNING = "warning"
    """Both accept it; it is probably not what was meant."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a context.

    Attributes:
        rule: The name of the rule.
        level: How bad it is.
        field: The C name of the field at fault, in the struct that was checked.
        value: What the field holds.
        message: What was given, what is needed, and how to get it.
        errno: The name of the errno that Xen answers with; None unless rejected.
        console: The line that Xen prints for it, without "(XEN)" and the calling vcpu's name; None where Xen is
            silent, or has stopped at an earlier finding. Lines about a CPU record name the domain and the vcpu: there
            `{domid}` and `{vcpuid}` stand for them.
        source: Where the rule stands: a Xen function, or a section of the SDM or APM.
        kills_host: Whether Xen itself faults on it, and takes every domain down with it.
    """

    rule: str
    level: Level
    field: str
    value: int
    message: str
    errno: Optional[str] = None
    console: Optional[str] = None
    source: str = ""
    kills_host: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The finding as the command prints it with `--json`."""
        told = {
            "rule": self.rule, "level": self.level.value, "field": self.field, "value": hex(self.value),
            "message": self.message,
        }
        return {**told, "kills_host": True} if self.kills_host else told


@dataclass(frozen=True)
class Verdict:
    """What Xen, and then the processor, will say to a context.

    Attributes:
        findings: In Xen's order; lints after the rules.
        depends_on: Which features of the domain were assumed (`cr4_valid`, ...), since they were not given.
    """

    findings: Tuple[Finding, ...] = ()
    depends_on: Tuple[str, ...] = ()

    @property
    def level(self) -> Optional[Level]:
        """The worst level among the findings, or None."""
        present = {finding.level for finding in self.findings}
        return next((level for level in Level if level in present), None)

    @property
    def verdict(self) -> str:
        """`accepted`, `rejected` or `fatal`."""
        return self.level.value if self.level in (Level.REJECTED, Level.FATAL) else "accepted"

    @property
    def errno(self) -> Optional[str]:
        """The name of the errno that Xen will answer with, or None."""
        return next((finding.errno for finding in self.findings if finding.level is Level.REJECTED), None)

    @property
    def console(self) -> Tuple[str, ...]:
        """What Xen prints, the lines of the rejecting findings, without prefix."""
        return tuple(finding.console for finding in self.findings if finding.console is not None)

    def warned(self, *findings: Finding) -> Verdict:
        """The verdict with more warnings at its end."""
        return replace(self, findings=(*self.findings, *findings))

    def naming(self, domid: Optional[int], vcpuid: Optional[int]) -> Verdict:
        """The verdict with domain and vcpu put into Xen's console lines; `N` for what is not known."""
        names = {"domid": "N" if domid is None else domid, "vcpuid": "N" if vcpuid is None else vcpuid}
        findings = (
            found if found.console is None else replace(found, console=found.console.format(**names))
            for found in self.findings
        )
        return replace(self, findings=tuple(findings))

    def as_dict(self) -> dict[str, Any]:
        """The verdict as the command prints it with `--json`."""
        return {
            "verdict": self.verdict, "errno": self.errno,
            "findings": [finding.as_dict() for finding in self.findings], "depends_on": list(self.depends_on),
        }
