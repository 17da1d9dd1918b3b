# SPDX-License-Identifier: MIT
"""What a toolstack's configuration says of what the vcpus of a domain may do, before the domain exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import FrozenSet, Iterable, Optional, Tuple

from xenvcpu.rules import policy
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release


@dataclass(frozen=True)
class Configured:
    """What was understood of a configuration. What it leaves open is unknown until Xen has the domain.

    Attributes:
        is_hap: Whether the domain will have hardware-assisted paging; None where that is left to the toolstack.
        lacks: The CPU features that it takes from the domain, under the names of `xenvcpu.abi.cpuid.FEATURES`.
        online: The vcpus that are to be online; None where it does not say.
    """

    is_hap: Optional[bool] = None
    lacks: FrozenSet[str] = frozenset()
    online: Optional[FrozenSet[int]] = None

    def kept_offline(self, vcpuids: Iterable[int]) -> Tuple[int, ...]:
        """Those of some vcpus that it has offline."""
        return () if self.online is None else tuple(vcpuid for vcpuid in vcpuids if vcpuid not in self.online)

    def judged_by(self, known: Features, release: Release) -> Tuple[Features, Features]:
        """By what its contexts are judged, one after the other: without what it takes away, then with what is known.

        The first may refuse. The verdict is the second's, which names what it depends on: that the configuration does
        not take a feature away does not mean that the host has it.
        """
        paged = known if self.is_hap is None else replace(known, is_hap=self.is_hap)
        return policy.without(paged, self.lacks, release), paged


NOTHING = Configured()
"""Where nothing is known of it."""
