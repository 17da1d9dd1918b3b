# SPDX-License-Identifier: MIT
"""What a recovery will do: bring back, from a capture, the vcpus that a change which failed has left down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Tuple, Type

from xenvcpu.abi import save_stream
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.save_stream import Record
from xenvcpu.calls import Calls
from xenvcpu.capture import Capture
from xenvcpu.errors import ChangeError, DomainChangedError
from xenvcpu.plan import refuse_pat_loss
from xenvcpu.savedstate import SavedState, with_tsc


class Recovered(NamedTuple):
    """What a recovery does.

    Attributes:
        brought_back: The vcpus that get their captured state.
        made_fresh: The vcpus that the change which failed had brought up.
    """

    brought_back: Tuple[int, ...]
    made_fresh: Tuple[int, ...]


@dataclass(frozen=True)
class RecoverPlan:
    """A recovery of one domain.

    A vcpu that is online goes on as it is, for it has run since the capture. One that was online then
    and is down now gets its captured state, with the TSC of those that run. One that the change
    which failed had brought up is made fresh.

    Attributes:
        domain: The domain as it was found.
        capture: What it was before that change.
        force: Whether a loss that cannot be helped is accepted.
    """

    domain: DomainInfo
    capture: Capture
    force: bool = False

    verb: ClassVar[str] = "recover"
    failed: ClassVar[Type[ChangeError]] = ChangeError

    @property
    def vcpuids(self) -> Tuple[int, ...]:
        """The vcpus that were online at the capture."""
        return self.capture.state.online

    def recovered(self, found: SavedState) -> Recovered:
        """What there is to do."""
        return Recovered(
            tuple(vcpuid for vcpuid in self.vcpuids if vcpuid not in found.cpu),
            tuple(vcpuid for vcpuid in self.capture.fresh if vcpuid in found.cpu),
        )

    def calls(self, found: SavedState) -> Calls:
        """The load and the resets; none where nothing is missing.

        Raises:
            DomainChangedError: The capture is of another domain, or its release of Xen of another layout.
            PatLostError: The load would change the memory types of a vcpu that is online.
        """
        self._require_same(found)
        missing, surplus = self.recovered(found)
        if not missing:
            return Calls(None, surplus)
        refuse_pat_loss(self.domain, found, force=self.force)
        before = self.capture.state
        new = [self._record(before, found, vcpuid) for vcpuid in missing]
        beside = [of[vcpuid] for of in (before.xsave, before.kept_mtrr) for vcpuid in missing if vcpuid in of]
        stream = save_stream.join((found.header, *found.kept, *new, *beside, save_stream.END))
        return Calls(stream, surplus, new)

    @staticmethod
    def _record(before: SavedState, found: SavedState, vcpuid: int) -> Record:
        """The captured CPU record; with the TSC of now, where one runs: it must not go back."""
        record = before.cpu[vcpuid]
        return record._replace(payload=with_tsc(record.payload, found.tsc)) if found.cpu else record

    def _require_same(self, found: SavedState) -> None:
        domid, capture = self.domain.domid, self.capture
        if self.domain.handle != capture.handle:
            raise DomainChangedError(
                f"the capture is of domain {capture.handle}, not of domain {domid} ({self.domain.handle})", domid=domid
            )
        if found.release != capture.release:
            raise DomainChangedError(
                f"the capture was made under Xen {capture.release}; this is Xen {found.release}, and its records may be"
                " laid out otherwise", domid=domid,
            )
