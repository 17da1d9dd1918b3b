# SPDX-License-Identifier: MIT
"""A domain as dom0 drives it."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Sequence, Tuple

from xenvcpu.abi import cpu_record
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.abi.vcpu_info import Runstate
from xenvcpu.availability import Offline, nobody
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.deadline import Deadline
from xenvcpu.errors import DomainError, HypercallError, VcpuDownError
from xenvcpu.execute import StartReport, execute
from xenvcpu.hostword import judged
from xenvcpu.keeper import Keeper
from xenvcpu.keptfile import KeptFile
from xenvcpu.newvcpu import Render
from xenvcpu.plan import Plan, make_plan, require_vcpus
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.recoverplan import Recovered, RecoverPlan
from xenvcpu.rules import policy
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.savedstate import SavedState
from xenvcpu.stopplan import StopPlan
from xenvcpu.transaction import carry_out
from xenvcpu.vcpustate import VcpuState, mode_name


class Dom0Domain:
    """A handle on one HVM or PVH domain, through the dom0 interface.

    Attributes:
        info: The domain as it was when the handle was made.
        name: Its name in xenstore, or None.
        kept_offline: From some of its vcpus to those that its toolstack has offline; asked when called.

    Synchronization: not for use from two threads at once.
    """

    interface = "domctl"

    def __init__(
        self, port: Dom0Port, keeper: Keeper, info: DomainInfo, name: Optional[str], offline: Offline = nobody
    ) -> None:
        self._port = port
        self._keeper = keeper
        self.info = info
        self.name = name
        self.kept_offline = offline

    def __repr__(self) -> str:
        return f"<Dom0Domain {self.domid} {self.name or ''}>"

    @property
    def domid(self) -> int:
        """The domain's id."""
        return self.info.domid

    @property
    def uuid(self) -> str:
        """The handle that the toolstack gave it."""
        return str(self.info.handle)

    @property
    def release(self) -> Release:
        """The running Xen."""
        return self._port.release

    def state(self) -> SavedState:
        """A full save; Xen pauses the domain while it is made.

        Raises:
            DomainError: Not an HVM or PVH domain.
        """
        self._require_hvm()
        stream = self._port.read_context(self.domid, self._port.context_buffer(self.domid))
        return SavedState.parse(stream, self.release, self._port.vendor)

    def _require_hvm(self) -> None:
        if not self.info.is_hvm:
            raise DomainError(
                f"domain {self.domid} is a PV domain; only HVM and PVH domains have this interface", domid=self.domid
            )

    def vcpus(self, *, registers: bool = True) -> Tuple[VcpuState, ...]:
        """Every vcpu of the domain.

        Args:
            registers: Whether to read the mode and instruction pointer of those online, for which Xen stops the
                domain for a moment. Without them no vcpu that runs is stopped.

        Raises:
            DeadlineError: It took longer than the host's patience.
        """
        deadline = self._keeper.patience.begin()
        state = self.state() if registers and self.info.is_hvm else None
        return tuple(self._vcpu(vcpuid, state, deadline) for vcpuid in range(self.info.vcpu_count))

    def _vcpu(self, vcpuid: int, state: Optional[SavedState], deadline: Deadline) -> VcpuState:
        deadline.check("reading its vcpus", self.domid)
        info = self._port.vcpu(self.domid, vcpuid)
        is_online = bool(info["online"])
        seen = (
            (not is_online, Runstate.offline), (info["running"], Runstate.running), (info["blocked"], Runstate.blocked)
        )
        runstate = next((runstate for is_so, runstate in seen if is_so), Runstate.runnable).name
        record = state.record(vcpuid) if state is not None and vcpuid in state.cpu else None
        return VcpuState(
            vcpuid, is_online, is_online or self._port.is_initialised(self.domid, vcpuid), runstate,
            mode=None if record is None else mode_name(record), rip=None if record is None else record["rip"],
            cpu=info["cpu"] if is_online else None, cpu_time=info["cpu_time"],
        )

    def record(self, vcpuid: int) -> Image:
        """The CPU record of one vcpu, paused for it (up to 4.11 its domain is); `tsc` is of the last full save.

        Raises:
            DomainError: Not an HVM or PVH domain.
            NoSuchVcpuError: The domain has no such vcpu.
            VcpuDownError: It is down: Xen keeps no record of it.
        """
        self._require_hvm()
        require_vcpus(self.info, (vcpuid,))
        try:
            return cpu_record.decode(self._port.read_record(self.domid, Typecode.CPU, vcpuid, cpu_record.SIZE))
        except HypercallError:
            if self._port.vcpu(self.domid, vcpuid)["online"]:
                raise
        known = "initialised" if self._port.is_initialised(self.domid, vcpuid) else "not initialised"
        raise VcpuDownError(
            f"vcpu {vcpuid} of domain {self.domid} is down ({known}); Xen shows no registers of a vcpu that is down",
            domid=self.domid, vcpuid=vcpuid,
        )

    def down_vcpus(self) -> Tuple[int, ...]:
        """The vcpus that are down, in order."""
        online = self.state().cpu
        return tuple(vcpuid for vcpuid in range(self.info.vcpu_count) if vcpuid not in online)

    def policy(self, given: Features = UNKNOWN) -> Features:
        """What its vcpus may set: by its CPU policy, which Xen shows from 4.12 on, and by its host.

        Args:
            given: What else is known of it; see `xenvcpu.rules.policy.within`.

        Raises:
            HypercallError: Xen refused: the domain is gone.
        """
        leaves = self._port.cpu_policy(self.domid)
        read = UNKNOWN if leaves is None else policy.features(leaves, self.release)
        is_hap = given.is_hap if self.info.is_hap is None else self.info.is_hap
        return replace(policy.within(read, given), is_hap=is_hap, vendor=given.vendor or self._port.vendor)

    def plan(
        self, vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN, allow: Allowances = NONE
    ) -> Plan:
        """Plan a start; nothing is touched. See `xenvcpu.plan.make_plan` for what it raises."""
        found = self.state()
        return self._plan(vcpuids, render, features, allow, found.online).beside(found)

    def foresee(
        self, vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN, allow: Allowances = NONE
    ) -> Plan:
        """As `plan`, but without a look at which vcpus are online: under the pause that is looked at again."""
        return self._plan(vcpuids, render, features, allow)

    def _plan(
        self, vcpuids: Sequence[int], render: Render, features: Features, allow: Allowances, online: Sequence[int] = ()
    ) -> Plan:
        return judged(self._port, self.policy(features), lambda known: make_plan(
            self.info, self.name, vcpuids, render, self.release, online=online, features=known, allow=allow
        ))

    def start(
        self, vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN, allow: Allowances = NONE
    ) -> StartReport:
        """Start vcpus, all in one load. The other vcpus go on as they were, paused for milliseconds.

        Args:
            vcpuids: The vcpus, each down.
            render: What each starts with, by vcpuid.
            features: What is known of the domain's CPU policy.
            allow: What it may do although it would be refused.

        Raises:
            DomainError: Not an HVM or PVH domain.
            RefusedContextError: A rule refuses a context; nothing was touched.
            HypercallError: Xen refused; the domain was put back (`restored`).
            StartError: Xen holds something else than was loaded; the domain was put back.
        """
        self._require_hvm()
        return self.execute(self.foresee(vcpuids, render, features=features, allow=allow))

    def execute(self, plan: Plan) -> StartReport:
        """Carry out a plan that was made before."""
        return execute(self._port, self._keeper, plan)

    def stop(self, vcpuids: Sequence[int], *, allow: Allowances = NONE) -> Tuple[int, ...]:
        """Take vcpus away: down and uninitialised (XEN_DOMCTL_setvcpucontext with no context).

        Returns:
            The vcpus that were online and are no more.

        Raises:
            LastVcpuError: No vcpu would be left online; `Allowance.LAST` allows that.
            DomainError: Not an HVM or PVH domain: of a PV vcpu, a reset drops its page tables too.
            XenVcpuError: See `xenvcpu.transaction.carry_out`.
        """
        self._require_hvm()
        wanted = tuple(sorted(set(vcpuids)))
        require_vcpus(self.info, wanted)
        initialised = tuple(vcpuid for vcpuid in wanted if self._port.is_initialised(self.domid, vcpuid))
        if not initialised:
            return ()
        outcome = carry_out(self._port, self._keeper, StopPlan(self.info, wanted, initialised, allow))
        return tuple(vcpuid for vcpuid in wanted if vcpuid in outcome.found.cpu)

    def plan_recovery(self, kept: KeptFile, *, allow: Allowances = NONE) -> Recovered:
        """What `recover` would do now; nothing is touched. It raises what that does."""
        plan, found = RecoverPlan(self.info, kept, allow), self.state()
        plan.calls(found)
        return plan.recovered(found)

    def recover(self, kept: KeptFile, *, allow: Allowances = NONE) -> Recovered:
        """Bring back what a change that failed has left otherwise; see `RecoverPlan`.

        Raises:
            DomainChangedError: See `RecoverPlan.calls`.
            XenVcpuError: See `xenvcpu.transaction.carry_out`.
        """
        self._require_hvm()
        plan = RecoverPlan(self.info, kept, allow)
        return plan.recovered(carry_out(self._port, self._keeper, plan).found)
