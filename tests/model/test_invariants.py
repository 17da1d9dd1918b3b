# SPDX-License-Identifier: MIT
"""Any sequence of calls keeps the model whole: only Xen's errnos, counts that add up, loads as they are told."""

from __future__ import annotations

import errno
from typing import Any, Callable, List, Optional

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.model.machine import Machine, context, context_64, cpu_image
from xenvcpu.abi import guest_context, save_stream
from xenvcpu.abi.guest_context import VGCF
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.model import guestaction, worldfile
from xenvcpu.model.answer import Refused
from xenvcpu.model.vcpuop import Op

RELEASES = [f"4.{minor}" for minor in range(7, 23)]
_NAMES = "EPERM ENOENT ENODATA EINVAL EEXIST EFAULT ENOSYS EOVERFLOW ENXIO EBUSY ENODEV EOPNOTSUPP EIO ENOBUFS"
KNOWN_ERRNOS = {getattr(errno, name) for name in _NAMES.split()}
VCPUS = st.integers(0, 4)
PAYLOADS = st.one_of(
    st.just(cpu_image().pack()), st.binary(max_size=40), st.just(cpu_image(cr0=1).pack()),
    st.builds(lambda n: cpu_image(0x1000).pack()[:n], st.integers(0, 1032)),
    st.just(cpu_image(msr_efer=0x500, cr0=0x80000011, cr4=0).pack()),
)
RECORDS = st.lists(st.builds(Record, st.integers(2, 21), VCPUS, PAYLOADS), max_size=4)


class Calls(RuleBasedStateMachine):
    """A guest and dom0 that call as they like."""

    machine: Machine

    @initialize(release=st.sampled_from(RELEASES), vendor=st.sampled_from(["intel", "amd"]), online=st.integers(1, 4))
    def create(self, release: str, vendor: str, online: int) -> None:
        self.machine = Machine(release, online=online, vendor=vendor)
        self.pauses = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Optional[int]:
        """The errno that a call is refused with, or None."""
        try:
            function(*arguments)
        except Refused as refusal:
            assert refusal.errno in KNOWN_ERRNOS
            return refusal.errno
        return None

    @rule(op=st.integers(0, 16), vcpuid=VCPUS, data=st.sampled_from([b"", bytes(16), bytes(48), bytes(128)]))
    def any_op(self, op: int, vcpuid: int, data: bytes) -> None:
        self.call(self.machine.op, op, vcpuid, data)

    @rule(vcpuid=VCPUS, image=st.sampled_from([context(), context_64(), context().with_values(cs_ar=0)]))
    def initialise(self, vcpuid: int, image: Any) -> None:
        vcpu = self.machine.domain.vcpu(vcpuid)
        was_initialised = vcpu is not None and vcpu.is_initialised
        number = self.call(self.machine.initialise, vcpuid, image)
        assert (number == errno.EEXIST) is was_initialised
        if number is None:
            assert vcpu is not None and vcpu.is_initialised and vcpu.is_down

    @rule(vcpuid=VCPUS)
    def up(self, vcpuid: int) -> None:
        if self.call(self.machine.op, Op.up, vcpuid) is None:
            assert not self.machine.domain.vcpus[vcpuid].is_down

    @rule()
    def pause(self) -> None:
        if self.call(self.machine.domctl.pausedomain, 1) is None:
            self.pauses += 1

    @rule()
    def unpause(self) -> None:
        if self.call(self.machine.domctl.unpausedomain, 1) is None:
            self.pauses -= 1

    @rule(records=RECORDS)
    def load(self, records: List[Record]) -> None:
        before = [vcpu for vcpu in self.machine.domain.vcpus if vcpu.is_initialised]
        number = self.call(self.machine.load, *records)
        if number is None:
            named = {record.instance for record in records if record.typecode == Typecode.CPU}
            assert set(self.machine.online()) == named
            assert all(vcpu.is_initialised for vcpu in self.machine.domain.online)
        assert all(vcpu.is_initialised for vcpu in before)

    @rule()
    def save_and_load_back(self) -> None:
        online = self.machine.online()
        records = self.machine.save()
        assert [record.instance for record in records if record.typecode == Typecode.CPU] == online
        if self.call(self.machine.load_bytes, save_stream.join(records)) is None:
            assert self.machine.online() == online

    @rule(vcpuid=VCPUS, flags=st.sampled_from([None, 0, VGCF.online, VGCF.i387_valid]))
    def set_context(self, vcpuid: int, flags: Optional[int]) -> None:
        image = None if flags is None else guest_context.LAYOUT.image({"flags": flags})
        self.call(self.machine.domctl.setvcpucontext, 1, vcpuid, image)

    @rule(vcpuid=VCPUS, typecode=st.integers(0, 22))
    def read_what_there_is(self, vcpuid: int, typecode: int) -> None:
        domctl = self.machine.domctl
        self.call(domctl.getvcpucontext, 1, vcpuid)
        self.call(domctl.getvcpuinfo, 1, vcpuid)
        self.call(domctl.gethvmcontext_partial, 1, typecode, vcpuid, 4096)

    @rule(vcpuid=st.integers(0, 3), what=st.sampled_from(["halt", "init", "sipi"]))
    def inside(self, vcpuid: int, what: str) -> None:
        domain = self.machine.domain
        if what == "sipi":
            guestaction.sipi(self.machine.host, domain, vcpuid, 8)
        elif not domain.vcpus[vcpuid].is_down:
            getattr(guestaction, what)(domain, vcpuid)

    @invariant()
    def pauses_add_up(self) -> None:
        if hasattr(self, "machine"):
            assert self.machine.domain.pause_count == self.pauses

    @invariant()
    def every_vcpu_is_whole(self) -> None:
        for vcpu in self.machine.domain.vcpus if hasattr(self, "machine") else ():
            assert len(vcpu.state) == 1032
            assert not any(vcpu.state[1008:1016])

    @invariant()
    def what_may_run_has_run_or_the_domain_is_stopped(self) -> None:
        if hasattr(self, "machine") and not self.machine.domain.is_stopped:
            assert all(vcpu.has_entered and vcpu.is_blocked for vcpu in self.machine.domain.online)

    def teardown(self) -> None:
        if hasattr(self, "machine"):
            written = worldfile.to_json(self.machine.host)
            assert worldfile.to_json(worldfile.from_json(written)) == written


Calls.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestCalls = Calls.TestCase
