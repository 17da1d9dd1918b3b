# SPDX-License-Identifier: MIT
"""A load takes the time since the save from every TSC: it is given back, and never more than it was."""

from __future__ import annotations

import time
from typing import Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.start.conftest import context
from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import StartError
from xenvcpu.guesttime import Timed
from xenvcpu.libraries import Libraries
from xenvcpu.model.clock import MASK
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries

LOAD = "xc_domain_hvm_setcontext"
STARTS = 100


def ahead(libraries: ModelLibraries) -> Dict[int, int]:
    """How many ticks each vcpu's TSC is ahead of what the boot vcpu's was when the domain was made."""
    now = libraries.host.clock.tsc
    return {vcpu.vcpuid: vcpu.tsc_at(now) - now for vcpu in libraries.host.named("web").vcpus}


def signed(ticks: int) -> int:
    return (ticks & MASK) - (1 << 64) if ticks >> 63 & 1 else ticks & MASK


def lost(libraries: ModelLibraries, before: Dict[int, int]) -> int:
    return signed(before[0] - ahead(libraries)[0])


def test_an_online_vcpu_loses_no_more_than_the_load_itself_takes(web: Dom0Domain, libraries: ModelLibraries) -> None:
    """In the model that is one step; the calls between are a thousandth of themselves at most."""
    step, before = libraries.host.clock.step, ahead(libraries)
    for _ in range(STARTS):
        web.start([1], context)
        web.stop([1])
    assert 0 <= lost(libraries, before) <= STARTS * (step + step // 100)


def test_a_parked_vcpu_gets_no_further_ahead_than_that(web: Dom0Domain, libraries: ModelLibraries) -> None:
    """It is down and initialised, and keeps its TSC when the others are loaded."""
    web.start([1, 2], context)
    libraries.host.named("web").vcpus[2].is_down = True
    step, before = libraries.host.clock.step, ahead(libraries)
    web.start([3], context)
    found = ahead(libraries)
    assert found[2] == before[2] and 0 <= signed(found[2] - found[0]) <= step + step // 100
    assert found[0] == found[1] == found[3]


def test_a_put_back_gives_it_back_too(web: Dom0Domain, libraries: ModelLibraries) -> None:
    step, before, boot = libraries.host.clock.step, ahead(libraries), libraries.host.named("web").vcpus[0]

    def spoil(call: RealCall) -> object:
        done = call()
        boot.image = boot.image.with_values(rip=0xBAD)
        return done

    libraries.fail(LOAD, spoil)
    with pytest.raises(StartError) as caught:
        web.start([1], context)
    assert caught.value.restored and libraries.counts[LOAD] == 2
    assert 0 <= lost(libraries, before) <= 2 * step


@given(st.integers(0, MASK), st.integers(-10, 1 << 40), st.integers(0, 1 << 24))
def test_what_is_added_is_less_than_the_time_and_no_more_than_a_thousandth_less(tsc: int, ns: int, khz: int) -> None:
    record = cpu_record.LAYOUT.image({"tsc": tsc}).pack()
    stream = save_stream.join([save_stream.header(0, 0, khz), Record(Typecode.CPU, 5, record), END])
    later = save_stream.split(Timed(stream).after(ns)).records[1]
    added = (cpu_record.decode(later.payload)["tsc"] - tsc) & MASK
    true = max(ns, 0) * khz / 1_000_000
    assert true * (1 - 1 / 1000) - 1 <= added <= true
    assert later.payload[:1008] + later.payload[1016:] == record[:1008] + record[1016:]


def test_the_clock_of_a_host_is_one_that_ntp_does_not_slew() -> None:
    libraries = Libraries()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    assert before <= libraries.nanoseconds() <= time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
