# SPDX-License-Identifier: MIT
"""What a recovery will do: bring back, from a kept capture, the vcpus that a change which failed has left down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Tuple, Type

from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.save_stream import Record
from xenvcpu.allowances import NONE, Allowance, Allowances
from xenvcpu.calls import Calls
from xenvcpu.errors import ChangeError, DomainChangedError
from xenvcpu.keptfile import KeptFile
from xenvcpu.newvcpu import require_safe
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

    Only the vcpus that the failed change was seen to leave otherwise are touched. One that is online again goes on as
    it is, for it has run since. One that is down still gets its captured state, with the TSC of those that run. One
    that the change had brought up, and that had been fresh, is made fresh.

    Attributes:
        domain: The domain as it was found.
        kept: What it was before that change, and what was left.
        allow: What it may do although it would be refused.
    """

    domain: DomainInfo
    kept: KeptFile
    allow: Allowances = NONE

    verb: ClassVar[str] = "recover"
    loads: ClassVar[bool] = True
    failed: ClassVar[Type[ChangeError]] = ChangeError

    @property
    def vcpuids(self) -> Tuple[int, ...]:
        """The vcpus that were left otherwise."""
        return tuple(sorted({*self.kept.left.down, *self.kept.left.surplus}))

    def recovered(self, found: SavedState) -> Recovered:
        """What there is to do."""
        left = self.kept.left
        return Recovered(tuple(vcpuid for vcpuid in left.down if vcpuid not in found.cpu), left.surplus)

    def calls(self, found: SavedState) -> Calls:
        """The load and the resets; none where nothing is missing.

        Raises:
            DomainChangedError: The capture is of another domain or of another life of it, or of another Xen; or what
                was left was not seen, and it is not allowed to go by what may be.
            RefusedContextError: Xen itself would fault on a captured record: Xen did not save it so.
        """
        self.require_same(found)
        missing, surplus = self.recovered(found)
        if not missing:
            return Calls(None, surplus)
        before = self.kept.capture.state
        new = [self._record(before, found, vcpuid) for vcpuid in missing]
        for record in new:
            require_safe(cpu_record.decode(record.payload), found.release, record.instance)
        beside = [of[vcpuid] for of in (before.xsave, before.kept_mtrr) for vcpuid in missing if vcpuid in of]
        stream = save_stream.join((found.header, *found.kept, *new, *beside, save_stream.END))
        return Calls(stream, surplus, new)

    @staticmethod
    def _record(before: SavedState, found: SavedState, vcpuid: int) -> Record:
        """The captured CPU record; with the TSC of now, where one runs: it must not go back."""
        record = before.cpu[vcpuid]
        return record._replace(payload=with_tsc(record.payload, found.tsc)) if found.cpu else record

    def require_same(self, found: SavedState) -> None:
        """The capture is of this domain, as it has lived on since.

        Raises:
            DomainChangedError: It is not; registers from another life would run into another kernel.
        """
        domid, capture = self.domain.domid, self.kept.capture
        if self.domain.handle != capture.handle:
            why = f"the capture is of domain {capture.handle}, not of domain {domid} ({self.domain.handle})"
        elif domid != capture.domid or not self.kept.is_of_this_boot:
            why = (
                f"domain {domid} was rebooted, restored or migrated since the capture (it was domain {capture.domid}):"
                " its kernel knows nothing of those registers"
            )
        elif found.release != capture.release:
            why = f"the capture was made under Xen {capture.release}, and this is Xen {found.release}"
        elif not self.kept.left.is_known and Allowance.UNSEEN not in self.allow:
            why = (
                f"Xen could not be asked what domain {domid} had lost; look with `xenvcpu list`, and with"
                f" {Allowance.UNSEEN.option} every vcpu that was online at the capture and is down now is brought back"
            )
        else:
            return
        raise DomainChangedError(why, domid=domid)
