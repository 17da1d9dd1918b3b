# SPDX-License-Identifier: MIT
"""What a start from dom0 will do: a pure value, made and checked before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Iterable, List, Optional, Sequence, Tuple, Type

from xenvcpu import vcpuset
from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.calls import Calls
from xenvcpu.errors import (
    ChangeError, NoSuchVcpuError, StartError, VcpuOnlineError,
)
from xenvcpu.newvcpu import NewVcpu, Render, prepare
from xenvcpu.rules import together
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.savedstate import SavedState


@dataclass(frozen=True)
class Plan:
    """A start of any number of vcpus of one domain, in one load.

    Attributes:
        domain: The domain as it was found.
        name: Its name, or None.
        vcpus: What will be started, in order of vcpuid.
        allow: What it may do although it would be refused.
    """

    domain: DomainInfo
    name: Optional[str]
    vcpus: Tuple[NewVcpu, ...]
    allow: Allowances = NONE

    verb: ClassVar[str] = "start"
    loads: ClassVar[bool] = True
    failed: ClassVar[Type[ChangeError]] = StartError

    @property
    def vcpuids(self) -> Tuple[int, ...]:
        """What will be started, in order."""
        return tuple(vcpu.vcpuid for vcpu in self.vcpus)

    def calls(self, found: SavedState) -> Calls:
        """The load.

        The vcpus that are online come first, with their XSAVE state, and the new ones last:
        Xen applies records in order, so a new record that it refuses leaves the others running.

        Raises:
            VcpuOnlineError: A vcpu that is to be started is online by now.
        """
        domid = self.domain.domid
        for vcpuid in self.vcpuids:
            if vcpuid in found.cpu:
                raise VcpuOnlineError(
                    f"vcpu {vcpuid} of domain {domid} is online; stop it first; nothing was touched", domid=domid,
                    vcpuid=vcpuid,
                )
        tsc = found.tsc
        new = [record for vcpu in self.vcpus for record in vcpu.records(tsc)]
        stream = save_stream.join((found.header, *found.kept, *new, save_stream.END))
        return Calls(stream, new=[record for record in new if record.typecode == Typecode.CPU])

    def beside(self, found: SavedState) -> Plan:
        """The plan, with what the rules say to its vcpus beside the boot vcpu, or the lowest that is online."""
        if not found.cpu:
            return self
        boot = found.record(found.online[0])
        vcpus = tuple(vcpu.warned(*together.beside(vcpu.state, boot)) for vcpu in self.vcpus)
        return replace(self, vcpus=vcpus)

    def steps(self) -> List[str]:
        """The sequence in words, one step a line."""
        who = ", ".join(str(vcpu.vcpuid) for vcpu in self.vcpus)
        return [
            f"pause domain {self.domain.domid}",
            "read its whole save stream",
            "compose HEADER, the CPU and CPU_XSAVE records of every online vcpu as read, on AMD the PAT of one"
            f" that has set its own, a new CPU record for vcpu {who} with the boot vcpu's TSC, END; each TSC"
            " with the time since the read",
            "load that stream in one call",
            "read it back and compare; put everything back if it differs",
            f"unpause domain {self.domain.domid}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """The plan as `--dry-run --json` prints it."""
        return {
            "domid": self.domain.domid, "name": self.name, "interface": "domctl", "steps": self.steps(),
            "vcpus": [
                {
                    "vcpuid": vcpu.vcpuid, **vcpu.verdict.as_dict(),
                    "cpu_record": {field: hex(value) for field, value in vcpu.record.values.items() if field != "tsc"},
                }
                for vcpu in self.vcpus
            ],
        }


def require_vcpus(domain: DomainInfo, vcpuids: Iterable[int]) -> None:
    """A domain was created with these vcpus.

    Raises:
        NoSuchVcpuError: It was not; all that it lacks are named.
    """
    missing = sorted(vcpuid for vcpuid in vcpuids if not 0 <= vcpuid < domain.vcpu_count)
    if missing:
        has = vcpuset.of_domain(domain.vcpu_count)
        raise NoSuchVcpuError(
            f"domain {domain.domid} has {has}, not {vcpuset.show(missing)}", domid=domain.domid, vcpuid=missing[0]
        )


def make_plan(
    domain: DomainInfo, name: Optional[str], vcpuids: Sequence[int], render: Render, release: Release, *,
    online: Sequence[int] = (), features: Features = UNKNOWN, allow: Allowances = NONE,
) -> Plan:
    """Plan a start.

    Args:
        domain: The domain.
        name: Its name.
        vcpuids: The vcpus to start.
        render: What each starts with.
        release: The running Xen.
        online: The vcpus known to be online; under the pause this is looked at again.
        features: What is known of the domain's CPU policy.
        allow: What it may do although it would be refused; where it ignores a rule, Xen judges.

    Raises:
        NoSuchVcpuError: The domain has no such vcpu.
        VcpuOnlineError: One of them is online.
        RefusedContextError: Xen would refuse a context, or the domain would crash.
        ContextError: A context cannot be encoded.
    """
    domid = domain.domid
    require_vcpus(domain, vcpuids)
    for vcpuid in vcpuids:
        if vcpuid in online:
            raise VcpuOnlineError(
                f"vcpu {vcpuid} of domain {domid} is online; stop it first", domid=domid, vcpuid=vcpuid
            )
    vcpus = (prepare(n, render(n), release, features, domid=domid) for n in sorted(set(vcpuids)))
    safe = (vcpu.safe_for_host() for vcpu in vcpus)
    taken = {vcpu.vcpuid: vcpu.accepted(allow) for vcpu in safe}
    for vcpuid, finding in together.shared_stacks({vcpuid: vcpu.state for vcpuid, vcpu in taken.items()}):
        taken[vcpuid] = taken[vcpuid].warned(finding)
    return Plan(domain, name, tuple(taken.values()), allow)
