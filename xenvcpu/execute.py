# SPDX-License-Identifier: MIT
"""Carrying out a start from dom0, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

from xenvcpu import bystanders
from xenvcpu.keeper import Keeper
from xenvcpu.plan import Plan
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.rules.verdict import Finding
from xenvcpu.transaction import carry_out


@dataclass(frozen=True)
class StartReport:
    """What a start did.

    Attributes:
        domid: The domain; None for the caller's own.
        vcpuids: The vcpus that run now.
        kept: The vcpus that were online before, and are.
        pause_seconds: How long the domain was held paused; None in the guest, which needs no pause.
        is_paused: Whether somebody else holds the domain paused, so that nothing of it runs yet.
        findings: What the rules found all the same, as (vcpuid, finding): warnings, and what was ignored.
        notes: What went wrong on the way and was mended, one sentence each.
    """

    domid: Optional[int]
    vcpuids: Tuple[int, ...]
    kept: Tuple[int, ...]
    pause_seconds: Optional[float]
    findings: Tuple[Tuple[int, Finding], ...] = ()
    is_paused: bool = False
    notes: Tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "domid": self.domid, "started": list(self.vcpuids), "kept": list(self.kept),
            "pause_seconds": self.pause_seconds, "paused": self.is_paused,
            "notes": list(self.notes),
            "findings": [{"vcpuid": vcpuid, **finding.as_dict()} for vcpuid, finding in self.findings],
        }


def execute(port: Dom0Port, keeper: Keeper, plan: Plan) -> StartReport:
    """Carry out a plan: ten C calls, and one more for each vcpu; some more for a domain with a device model.

    Raises:
        XenVcpuError: See `xenvcpu.transaction.carry_out`, and `Plan.calls`.
    """
    outcome = carry_out(port, keeper, plan)
    judged = plan.beside(outcome.found).vcpus
    findings = (
        *((vcpu.vcpuid, finding) for vcpu in judged for finding in vcpu.verdict.findings),
        *bystanders.warnings(outcome.found, port.has_xsave),
    )
    return StartReport(
        plan.domain.domid, plan.vcpuids, outcome.found.online, outcome.pause_seconds, findings, outcome.is_paused,
        outcome.notes,
    )
