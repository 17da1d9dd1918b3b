# SPDX-License-Identifier: MIT
"""What a stop from dom0 will do: a pure value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Tuple, Type

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.allowances import NONE, Allowance, Allowances
from xenvcpu.calls import Calls
from xenvcpu.errors import ChangeError, LastVcpuError, StopError
from xenvcpu.savedstate import SavedState


@dataclass(frozen=True)
class StopPlan:
    """A stop of any number of vcpus of one domain.

    Attributes:
        domain: The domain as it was found.
        vcpuids: What will be stopped, in order.
        initialised: Those of them that are down and initialised, and are made fresh too.
        allow: What it may do although it would be refused.
    """

    domain: DomainInfo
    vcpuids: Tuple[int, ...]
    initialised: Tuple[int, ...] = ()
    allow: Allowances = NONE

    verb: ClassVar[str] = "stop"
    loads: ClassVar[bool] = False
    failed: ClassVar[Type[ChangeError]] = StopError

    def calls(self, found: SavedState) -> Calls:
        """The resets; those of vcpus that run come first, since they can be put back.

        Raises:
            LastVcpuError: No vcpu would be left online, and that is not allowed.
        """
        online = tuple(vcpuid for vcpuid in self.vcpuids if vcpuid in found.cpu)
        if found.cpu and len(online) == len(found.cpu) and Allowance.LAST not in self.allow:
            raise LastVcpuError(
                f"domain {self.domain.domid} would be left without a running vcpu; destroy it, or use"
                f" {Allowance.LAST.option}",
                domid=self.domain.domid,
            )
        down = (vcpuid for vcpuid in self.initialised if vcpuid not in found.cpu)
        return Calls(None, (*online, *down))
