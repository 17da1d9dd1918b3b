# SPDX-License-Identifier: MIT
"""On AMD a load resets the PAT of every vcpu whose CPU record it holds: it is put back, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Tuple

import pytest

from xenvcpu.abi import mtrr, save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.context.presets import flat32
from xenvcpu.context.vcpu_context import VcpuContext
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
        image = image.with_values(**dict(zip(mtrr.VARIABLE, (0xF0000000, 0xFFF0000800, 0xE0000000, 0xFFF8000800))))
    boot.records[Typecode.MTRR] = image.pack()
    return libraries, boot


@pytest.mark.parametrize("ranges", [False, True], ids=["no ranges", "ranges"])
@pytest.mark.parametrize("release", ["4.11", "4.12", "4.17", "4.22"])
@pytest.mark.parametrize("vendor", ["amd", "intel"])
def test_the_memory_types_of_an_online_vcpu_stay(vendor: str, release: str, ranges: bool) -> None:
    libraries, boot = linux_guest(vendor, release, ranges)
    before = boot.records[Typecode.MTRR]
    with Host("model", libraries) as host:
        host.domains()[0].start([1], context)
    assert boot.records[Typecode.MTRR] == before


@pytest.mark.parametrize(("vendor", "loaded"), [("amd", 1), ("intel", 0), (None, 1)])
def test_no_mtrr_record_is_loaded_on_intel(vendor: Optional[str], loaded: int) -> None:
    """It would be of no use there. Where the vendor is not to be seen, it does no harm."""
    libraries, _ = linux_guest("amd", "4.17", ranges=True)
    with Host("model", libraries) as host:
        found = replace(host.domains()[0].state(), vendor=vendor)
    assert sum(record.typecode == Typecode.MTRR for record in found.kept) == loaded


def test_the_vendor_is_that_of_the_processor_and_not_guessed_from_its_family() -> None:
    """Intel has families 18 and 19, too."""
    libraries, _ = linux_guest("intel", "4.17", ranges=True)
    with Host("model", libraries) as host:
        found = host.domains()[0].state()
        family_19 = save_stream.HEADER_LAYOUT.unpack(found.header.payload).with_values(cpuid=0x40F01).pack()
        assert replace(found, header=found.header._replace(payload=family_19)).kept_mtrr == {}


def test_a_load_refuses_an_entry_of_no_memory_type_and_stores_the_rest() -> None:
    """As hvm_load_mtrr_msr does it."""
    libraries, boot = linux_guest("amd", "4.17", ranges=True)
    before = mtrr.LAYOUT.unpack(boot.records[Typecode.MTRR])
    given = mtrr.LAYOUT.unpack(mtrr.without_ranges(before.pack())).with_values(msr_pat_cr=mtrr.PAT_RESET)
    given = given.with_values(**{mtrr.VARIABLE[0]: 0xE0000006})
    with Host("model", libraries) as host:
        stream = (host.domains()[0].state().header, Record(Typecode.MTRR, 0, given.pack()), save_stream.END)
        host.dom0.load_context(1, save_stream.join(stream))
    expected = before.with_values(**{mtrr.VARIABLE[0]: 0xE0000006}, msr_pat_cr=mtrr.PAT_RESET)
    assert mtrr.LAYOUT.unpack(boot.records[Typecode.MTRR]).values == expected.values
