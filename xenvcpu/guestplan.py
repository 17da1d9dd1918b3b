# SPDX-License-Identifier: MIT
"""A start from inside the guest, before it is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.errors import VcpuOnlineError
from xenvcpu.newvcpu import Render, prepare_inside, require_accepted
from xenvcpu.ports.guest import GuestPort
from xenvcpu.rules import state, together
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Verdict


@dataclass(frozen=True)
class GuestPlan:
    """A start from inside the guest: initialise every vcpu, then make every one run."""

    contexts: Tuple[Tuple[int, Image, Verdict], ...]

    def steps(self) -> List[str]:
        """The sequence in words, one step a line."""
        who = ", ".join(str(vcpuid) for vcpuid, _, _ in self.contexts)
        return [f"VCPUOP_initialise for vcpu {who}", f"VCPUOP_up for vcpu {who}"]

    def as_dict(self) -> dict[str, Any]:
        """The plan as `--dry-run --json` prints it."""
        return {
            "domid": None, "name": "self", "interface": "vcpuop", "steps": self.steps(),
            "vcpus": [
                {
                    "vcpuid": vcpuid, **verdict.as_dict(),
                    "vcpu_hvm_context": {field: hex(value) for field, value in image.values.items()},
                }
                for vcpuid, image, verdict in self.contexts
            ],
        }


def make_guest_plan(
    port: GuestPort, vcpuids: Sequence[int], render: Render, release: Release, *, features: Features = UNKNOWN,
    allow: Allowances = NONE,
) -> GuestPlan:
    """Look at what is there, and judge every context.

    Raises:
        NoSuchVcpuError: The domain has no such vcpu.
        VcpuOnlineError: One of them is up.
        RefusedContextError: Xen would refuse a context, or the domain would crash.
        ContextError: A context has fields that VCPUOP_initialise cannot carry.
    """
    planned: Dict[int, Tuple[Image, Verdict]] = {}
    for vcpuid in sorted(set(vcpuids)):
        if port.is_up(vcpuid):
            raise VcpuOnlineError(f"vcpu {vcpuid} is up; stop it first", vcpuid=vcpuid)
        image, verdict = prepare_inside(vcpuid, render(vcpuid), release, features)
        require_accepted(verdict, vcpuid, allow)
        planned[vcpuid] = image, verdict
    cases = {
        vcpuid: state.of_context(image, release) for vcpuid, (image, _) in planned.items() if image["mode"] in (*Mode,)
    }
    for vcpuid, finding in together.shared_stacks(cases):
        image, verdict = planned[vcpuid]
        planned[vcpuid] = image, verdict.warned(finding)
    return GuestPlan(tuple((vcpuid, image, verdict) for vcpuid, (image, verdict) in planned.items()))
