# SPDX-License-Identifier: MIT
"""What dom0 will load for a vcpu, and what no option makes it load."""

from __future__ import annotations

import pytest

from xenvcpu.abi import cpu_record
from xenvcpu.context.presets import flat32, long64
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.encoding import to_cpu_record
from xenvcpu.errors import RefusedContextError
from xenvcpu.newvcpu import NewVcpu, Wanted, prepare
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release

BIG = 1 << 47


def ready(wanted: Wanted, features: Features = UNKNOWN, release: str = "4.17") -> NewVcpu:
    return prepare(1, wanted, Release.parse(release), features)


def long_mode() -> VcpuContext:
    return long64(0x1000, 0x8000, 0x2000)


@pytest.mark.parametrize("vendor", ["intel", "amd", None])
def test_a_record_that_kills_the_host_is_told_and_never_let_through(vendor: str | None) -> None:
    vcpu = ready(long_mode().replace(shadow_gs=BIG), Features(vendor=vendor))
    assert vcpu.verdict.verdict == "fatal"
    with pytest.raises(RefusedContextError, match="vcpu 1: shadow_gs = 0x800000000000.*the whole host goes down"):
        vcpu.safe_for_host()


def test_what_kills_the_host_is_named_before_what_xen_refuses() -> None:
    record = to_cpu_record(long_mode(), Release.parse("4.17")).with_values(msr_lstar=BIG, pad0=1)
    assert record.layout is cpu_record.LAYOUT
    with pytest.raises(RefusedContextError) as caught:
        ready(record).safe_for_host()
    assert caught.value.field == "msr_lstar"
    assert {finding.field for finding in caught.value.verdict.findings} == {"msr_lstar", "pad0"}


@pytest.mark.parametrize("vendor", ["intel", "amd", None])
def test_an_msr_that_old_xen_writes_unguarded_is_never_let_through(vendor: str | None) -> None:
    vcpu = ready(long_mode().replace(msrs=((0xDA0, 1 << 40),)), Features(vendor=vendor), "4.12")
    assert vcpu.verdict.verdict != "accepted"
    with pytest.raises(RefusedContextError, match=r"MSR 0xda0 = 0x10000000000: XSS .* the whole host goes down"):
        vcpu.safe_for_host()


@pytest.mark.parametrize("wanted, features", [
    (long_mode().replace(sysenter_eip=BIG), Features(vendor="amd")),
    (flat32(0x1000, 0x8000).replace(cr0=0x20000011), UNKNOWN),
    (flat32(0x1000, 0x8000), UNKNOWN),
])
def test_what_kills_at_most_the_domain_is_safe_for_the_host(wanted: VcpuContext, features: Features) -> None:
    vcpu = ready(wanted, features)
    assert vcpu.safe_for_host() is vcpu
