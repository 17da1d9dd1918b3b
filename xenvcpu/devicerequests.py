# SPDX-License-Identifier: MIT
"""Accesses to emulated devices that a load would cut off: looked for under the pause, and waited for.

From Xen 4.14 on a load of a CPU record makes Xen forget the access that its vcpu is in the middle of
(hvmemul_cancel): the answer to a read from a port is lost, and an access to memory is made a second time.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import Iterator, List, Optional

from xenvcpu.abi import ioreq
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.allowances import Allowance
from xenvcpu.change import Change
from xenvcpu.deadline import Deadline
from xenvcpu.errors import DeviceAccessError, HypercallError, RestrictedError, XenVcpuError
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.ioreq import IoreqPort
from xenvcpu.rules.effect import CANCELS_ACCESS

_TRIES = 200
_SHORTEST, _LONGEST = 0.001, 0.01
"""Seconds in which the vcpus run before it is looked again: more each time."""
_ENOUGH = 0.2
"""Seconds that another try needs: with fewer left, what is told shall be this, and not that the guard is late."""
_OPTION = Allowance.DEVICE_ACCESS_LOSS.option
_REMEDY = f"try again, or accept that it is cut off: {_OPTION}"


class DeviceRequests:
    """What the vcpus of a domain ask of its device models, over the tries of one change.

    A PVH domain has no device model, and a stop loads nothing: neither is looked at. Nor is a domain that has not run
    yet, whose device model may be about to set up its pages: to map them first would be in its way. Before 4.14 nothing
    is cut off, and a look is only for what a vcpu that is to be started has left behind.

    Attributes:
        vcpuid: The vcpu that was in the middle of an access at the last look; None where there was none.
    """

    def __init__(self, port: Dom0Port, change: Change, deadline: Deadline) -> None:
        self._port, self._change, self._deadline = port, change, deadline
        self._domid = change.domain.domid
        is_at_risk = change.loads and port.release in CANCELS_ACCESS and change.domain.has_device_model
        self._is_kept = change.loads and not is_at_risk and change.domain.has_device_model
        self._is_due = is_at_risk and Allowance.DEVICE_ACCESS_LOSS not in change.allow
        self._pages: Optional[IoreqPort] = None
        self._tries = 0
        self.vcpuid: Optional[int] = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have the pages mapped, so that a look under the pause takes no call.

        Raises:
            DeviceAccessError: They cannot be.
        """
        if not self._is_due or not self._port.domain(self._domid).cpu_time:
            with self._seen() if self._is_kept else nullcontext():
                yield
            return
        self._pages = self._port.ioreqs()
        try:
            for server in range(ioreq.SERVERS):
                self._map(self._pages, server)
            yield
        finally:
            pages, self._pages = self._pages, None
            pages.close()

    @contextmanager
    def _seen(self) -> Iterator[None]:
        """Have the pages mapped where they can be: before 4.14 nothing is refused for what stands there."""
        try:
            self._pages = self._port.ioreqs()
            for server in range(ioreq.SERVERS):
                self._pages.map(self._domid, server)
        except XenVcpuError:
            pass
        try:
            yield
        finally:
            pages, self._pages = self._pages, None
            if pages is not None:
                pages.close()

    @property
    def caught(self) -> Iterator[str]:
        """Of each vcpu that is to be started, and that was stopped in the middle of an access: what becomes of that.

        Before 4.14 a reset keeps how the access is to be completed, and there is no hvmemul_cancel.
        """
        pages = self._pages.pages() if self._is_kept and self._pages is not None else []
        waiting = {vcpuid for page in pages for vcpuid in ioreq.waiting(page)}
        for vcpuid in sorted(waiting.intersection(self._change.vcpuids)):
            yield (
                f"vcpu {vcpuid} of domain {self._domid} was stopped in the middle of an access to an emulated device:"
                " this Xen completes it when the vcpu runs, and what was read may then be in its new RAX"
            )

    def _map(self, pages: IoreqPort, server: int) -> None:
        try:
            pages.map(self._domid, server)
        except (HypercallError, RestrictedError) as error:
            # EPERM: the emulator runs in another domain, or has its pages in the guest's memory, as old ones do.
            # EOPNOTSUPP: Linux before 4.18 in dom0.
            raise DeviceAccessError(
                f"it cannot be seen whether vcpus of domain {self._domid} are in the middle of an access to an emulated"
                f" device, which a load would cut off ({error}); nothing was touched", domid=self._domid,
                remedy=f"accept that one may be: {_OPTION}",
            ) from error

    def are_none(self, now: DomainInfo) -> bool:
        """Look, under the pause, whether no vcpu that is online is in the middle of an access.

        Of a vcpu that is down nothing is lost: it waits to be started, and may have left its access behind.

        Raises:
            XenVcpuError: Xen does not say whether a vcpu is online.
        """
        if self._pages is None or self._is_kept:
            return not self._is_due or not now.cpu_time
        self.vcpuid = self._first(self._pages.pages())
        return self.vcpuid is None

    def _first(self, pages: List[bytes]) -> Optional[int]:
        waiting = sorted({vcpuid for page in pages for vcpuid in ioreq.waiting(page)})
        known = (vcpuid for vcpuid in waiting if vcpuid < self._change.domain.vcpu_count)
        return next((vcpuid for vcpuid in known if self._port.vcpu(self._domid, vcpuid)["online"]), None)

    def wait(self) -> None:
        """Let the vcpus run for a moment, now that our pause is given back.

        Raises:
            DeviceAccessError: Somebody else holds the domain paused, or it was tried often enough.
        """
        self._tries += 1
        try:
            is_paused = self._port.domain(self._domid).is_paused
        except XenVcpuError:
            is_paused = False
        if is_paused:
            raise self._error("and somebody else holds the domain paused, so that it cannot end it")
        if self._tries >= _TRIES or self._deadline.left < _ENOUGH:
            raise self._error(f"each of the {self._tries} times that it was looked")
        time.sleep(min(_SHORTEST * self._tries, _LONGEST))

    def _error(self, why: str) -> DeviceAccessError:
        who = "a vcpu" if self.vcpuid is None else f"vcpu {self.vcpuid}"
        return DeviceAccessError(
            f"{who} of domain {self._domid} is in the middle of an access to an emulated device, which a load would cut"
            f" off, {why}; nothing was touched", domid=self._domid, vcpuid=self.vcpuid, remedy=_REMEDY,
        )
