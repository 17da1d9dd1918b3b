# SPDX-License-Identifier: MIT
"""On AMD a load resets the PAT of every vcpu whose CPU record it holds: it is put back, or the start refused."""

from __future__ import annotations

from typing import Tuple

import pytest

from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.allowances import Allowances
from xenvcpu.context.presets import flat32
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import PatLostError
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.vcpu import Vcpu

LINUX_PAT = 0x0407050600070106


def context(vcpuid: int) -> VcpuContext:
    return flat32(0x100000, 0x80000)


def linux_guest(vendor: str, release: str, ranges: bool) -> Tuple[ModelLibraries, Vcpu]:
    """A guest whose boot vcpu has set its PAT, and whose firmware may have set variable ranges."""
    libraries = ModelLibraries(worlds.pvh(release))
    libraries.host.vendor = vendor
    boot = libraries.host.named("web").vcpus[0]
    image = mtrr.LAYOUT.unpack(boot.records[Typecode.MTRR]).with_values(msr_pat_cr=LINUX_PAT)
    if ranges:
        image = image.with_values(**{mtrr.VARIABLE[0]: 0xF0000000, mtrr.VARIABLE[1]: 0xFFF0000800})
    boot.records[Typecode.MTRR] = image.pack()
    return libraries, boot


@pytest.mark.parametrize("vendor", ["amd", "intel"])
@pytest.mark.parametrize(("release", "ranges"), [("4.11", True), ("4.11", False), ("4.17", False), ("4.22", False)])
def test_the_memory_types_of_an_online_vcpu_stay(vendor: str, release: str, ranges: bool) -> None:
    libraries, boot = linux_guest(vendor, release, ranges)
    before = boot.records[Typecode.MTRR]
    with Host("model", libraries) as host:
        host.domains()[0].start([1], context)
    assert boot.records[Typecode.MTRR] == before


def test_a_start_that_would_change_them_for_good_is_refused_on_amd() -> None:
    libraries, boot = linux_guest("amd", "4.17", ranges=True)
    before = boot.records[Typecode.MTRR]
    with Host("model", libraries) as host:
        with pytest.raises(PatLostError, match="--allow-pat-loss"):
            host.domains()[0].start([1], context)
        assert boot.records[Typecode.MTRR] == before
        assert host.domains()[0].start([1], context, allow=Allowances.of("pat-loss")).vcpuids == (1,)


def test_on_intel_the_same_start_leaves_them_alone() -> None:
    libraries, boot = linux_guest("intel", "4.17", ranges=True)
    before = boot.records[Typecode.MTRR]
    with Host("model", libraries) as host:
        host.domains()[0].start([1], context)
    assert boot.records[Typecode.MTRR] == before
