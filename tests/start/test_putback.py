# SPDX-License-Identifier: MIT
"""Putting a domain back: what is loaded, what is let be, and what is said of the rest."""

from __future__ import annotations

import errno
import uuid
from dataclasses import replace
from typing import Iterator, List

import pytest

from tests.start.test_memory_types import LINUX_PAT, linux_guest
from xenvcpu import putback
from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.capture import Capture
from xenvcpu.host import Host
from xenvcpu.left import Left
from xenvcpu.model import worlds
from xenvcpu.model.domain import Domain, Shutdown
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries

UNPAUSED = "domain 1 was unpaused by somebody else: its vcpus have run, and were not set back"
LOST = f"vcpu 0: its PAT is no more {LINUX_PAT:#x}"
LOAD, READ, LOOK = "xc_domain_hvm_setcontext", "xc_domain_hvm_getcontext", "xc_domain_getinfolist"


class Found:
    """A paused domain as it was captured before vcpu 1 is started."""

    def __init__(self, libraries: ModelLibraries) -> None:
        self.libraries = libraries
        self.host = Host("model", libraries)
        self.port = self.host.dom0
        self.xen: Domain = libraries.host.named("web")
        self.xen.pause_count = 1
        domid, handle = self.xen.domid, self.xen.handle
        stream = self.port.read_context(domid, self.port.context_buffer(domid))
        cpu_time = self.port.domain(domid).cpu_time
        self.capture = Capture(domid, handle, self.port.release, "start", (1,), stream, cpu_time=cpu_time)
        libraries.calls.clear()

    def put_back(self, **changes: object) -> object:
        return putback.put_back(self.port, replace(self.capture, **changes))  # type: ignore[arg-type]

    def set_boot(self, **values: int) -> None:
        self.xen.vcpus[0].image = self.xen.vcpus[0].image.with_values(**values)

    def set_pat(self, pat: int) -> None:
        boot = self.xen.vcpus[0]
        image = mtrr.LAYOUT.unpack(boot.records[Typecode.MTRR]).with_values(msr_pat_cr=pat)
        boot.records[Typecode.MTRR] = image.pack()


@pytest.fixture
def found() -> Iterator[Found]:
    made = Found(ModelLibraries(worlds.pvh()))
    yield made
    made.host.close()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    made: List[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def test_nothing_is_loaded_where_nothing_has_changed(found: Found) -> None:
    assert found.put_back(reached=()) == Left() and found.libraries.counts[LOAD] == 0


def test_a_register_that_changed_is_loaded_back(found: Found) -> None:
    before = found.xen.vcpus[0].image
    found.set_boot(rip=0xBAD)
    assert found.put_back(reached=()) == Left()
    assert found.xen.vcpus[0].image["rip"] == before["rip"]


def test_a_domain_that_came_to_have_the_domid_is_let_be(found: Found) -> None:
    found.set_boot(rip=0xBAD)
    found.xen.handle = uuid.UUID(int=99)
    assert found.put_back() is None and found.libraries.counts[LOAD] == 0


def test_a_domain_that_is_dying_is_let_be(found: Found) -> None:
    found.xen.is_dying = True
    assert found.put_back() is None and found.libraries.counts[LOAD] == 0


def test_what_is_wrong_with_vcpus_that_have_run_meanwhile_is_said_and_not_set_back(found: Found) -> None:
    rip = found.xen.vcpus[0].image["rip"]
    found.set_boot(rip=0xBAD)
    found.xen.pause_count = 0
    assert found.put_back(reached=()) == Left(other=(f"vcpu 0: rip is 0xbad, not {rip:#x}", UNPAUSED))
    assert found.libraries.counts[LOAD] == 0


def test_vcpus_that_have_run_between_two_pauses_are_not_set_back_either(found: Found) -> None:
    """They may sleep by now, and a load wakes nobody."""
    found.set_boot(rip=0xBAD)
    found.xen.vcpus[0].enter()
    left = found.put_back(reached=())
    assert isinstance(left, Left) and left.other[-1] == UNPAUSED
    assert found.libraries.counts[LOAD] == 0


def test_a_capture_of_an_older_version_does_not_say_how_long_vcpus_had_run(found: Found) -> None:
    found.xen.vcpus[0].enter()
    assert found.put_back(reached=(), cpu_time=None) == Left()


def test_a_domain_that_crashes_of_the_put_back_is_told_as_crashed(found: Found) -> None:
    def crash(call: RealCall) -> object:
        found.xen.shut_down(Shutdown.crash)
        return call()

    found.libraries.fail(LOAD, crash)
    assert found.put_back(reached=(1,)) == Left(is_crashed=True)


@pytest.mark.parametrize("ranges", [False, True], ids=["no ranges", "ranges"])
def test_a_pat_that_was_lost_is_said_once_and_that_of_a_vcpu_that_is_down_not_at_all(ranges: bool) -> None:
    found = Found(linux_guest("amd", "4.17", ranges)[0])
    with found.host:
        found.xen.pause_count = 0
        assert found.put_back(reached=()) == Left(other=(UNPAUSED,))
        found.set_pat(mtrr.PAT_RESET)
        assert found.put_back(reached=()) == Left(other=(LOST, UNPAUSED))
        found.xen.vcpus[0].is_down = True
        assert found.put_back(reached=()) == Left(down=(0,), other=(UNPAUSED,))


@pytest.mark.parametrize("ranges", [False, True], ids=["no ranges", "ranges"])
def test_a_pat_that_was_lost_is_loaded_back(ranges: bool) -> None:
    libraries, boot = linux_guest("amd", "4.17", ranges)
    made, before = Found(libraries), boot.records[Typecode.MTRR]
    with made.host:
        made.set_pat(mtrr.PAT_RESET)
        assert made.put_back(reached=()) == Left()
    assert boot.records[Typecode.MTRR] == before


def test_a_load_that_fails_is_tried_three_times_with_a_moment_between(found: Found, sleeps: List[float]) -> None:
    rip = found.xen.vcpus[0].image["rip"]
    found.set_boot(rip=0xBAD)
    for _ in range(3):
        found.libraries.fail(LOAD, errno.ENOMEM)
    left = found.put_back(reached=())
    assert isinstance(left, Left) and left.is_known and left.other[0] == f"vcpu 0: rip is 0xbad, not {rip:#x}"
    assert len(left.other) == 2 and "ENOMEM" in left.other[1]
    assert found.libraries.counts[LOAD] == 3 and sleeps == [0.01, 0.01]


def test_the_third_attempt_may_succeed(found: Found, sleeps: List[float]) -> None:
    found.set_boot(rip=0xBAD)
    for _ in range(2):
        found.libraries.fail(LOAD, errno.ENOMEM)
    assert found.put_back(reached=()) == Left()


def test_attempts_that_fail_at_a_domain_that_is_as_it_was_leave_nothing(found: Found, sleeps: List[float]) -> None:
    for _ in range(3):
        found.libraries.fail(LOOK, errno.ENOMEM)
    assert found.put_back(reached=()) == Left()


def test_of_a_domain_that_cannot_be_read_all_may_be_lost_and_why_is_said(found: Found, sleeps: List[float]) -> None:
    for _ in range(5):
        found.libraries.fail(READ, errno.ENOMEM)
    left = found.put_back()
    assert isinstance(left, Left) and (left.down, left.surplus, left.is_known) == ((0,), (1,), False)
    assert len(left.other) == 1 and "ENOMEM" in left.other[0]
