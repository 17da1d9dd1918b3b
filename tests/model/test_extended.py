# SPDX-License-Identifier: MIT
"""FPU and XSAVE state: what a CPU record does to it, release by release."""

from __future__ import annotations

import struct

import pytest

from tests.model.machine import Machine, refused
from xenvcpu.abi import cpu_record, xsave
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.model import extended

YMM = slice(xsave.SIZE_MIN, xsave.SIZE_MIN + 256)
KEEPS, WIPES = ("4.7", "4.12", "4.17", "4.19"), ("4.20", "4.21", "4.22")


def carried(machine: Machine, *more: Record) -> None:
    """Load the boot vcpu's own CPU record, as a start of another vcpu does."""
    machine.load(Record(Typecode.CPU, 0, machine.saved(Typecode.CPU)[0]), *more)


def xstate_bv(payload: bytes) -> int:
    return xsave.decode(payload)["save_area.xsave_hdr.xstate_bv"]


@pytest.mark.parametrize("release", KEEPS)
def test_a_cpu_record_keeps_the_avx_registers_before_4_20(release: str) -> None:
    machine = Machine(release)
    before = machine.saved(Typecode.CPU_XSAVE)[0]
    carried(machine)
    assert machine.saved(Typecode.CPU_XSAVE)[0] == before
    assert any(before[YMM])


@pytest.mark.parametrize("release", WIPES)
def test_a_cpu_record_alone_drops_the_avx_registers_from_4_20(release: str) -> None:
    machine = Machine(release)
    carried(machine)
    after = machine.saved(Typecode.CPU_XSAVE)[0]
    assert (xstate_bv(after), any(after[YMM])) == (xsave.XSTATE_LEGACY, False)


@pytest.mark.parametrize("release", WIPES)
def test_a_cpu_xsave_record_behind_it_brings_them_back(release: str) -> None:
    machine = Machine(release)
    before = machine.saved(Typecode.CPU_XSAVE)[0]
    carried(machine, Record(Typecode.CPU_XSAVE, 0, before))
    assert machine.saved(Typecode.CPU_XSAVE)[0] == before


def test_a_cpu_xsave_record_before_it_is_of_no_use() -> None:
    machine = Machine("4.20")
    before, record = machine.saved(Typecode.CPU_XSAVE)[0], machine.saved(Typecode.CPU)[0]
    machine.load(Record(Typecode.CPU_XSAVE, 0, before), Record(Typecode.CPU, 0, record))
    assert xstate_bv(machine.saved(Typecode.CPU_XSAVE)[0]) == xsave.XSTATE_LEGACY


@pytest.mark.parametrize(("release", "fcw"), [("4.11", 0x37F), ("4.12", 0x40), ("4.17", 0x40), ("4.20", 0x40)])
def test_a_record_without_a_valid_fpu_image_resets_the_fpu_from_4_12(release: str, fcw: int) -> None:
    machine = Machine(release)
    image = cpu_record.decode(machine.saved(Typecode.CPU)[0])
    machine.load(Record(Typecode.CPU, 0, image.with_values(flags=0).pack()))
    payload = machine.saved(Typecode.CPU_XSAVE)[0]
    assert struct.unpack_from("<H", payload, xsave.AREA_OFFSET)[0] == fcw


def test_loading_the_area_changes_the_fpu_image_of_the_cpu_record() -> None:
    machine = Machine()
    payload = bytearray(machine.saved(Typecode.CPU_XSAVE)[0])
    payload[xsave.AREA_OFFSET + 160] = 0xEE
    machine.load(Record(Typecode.CPU, 0, machine.saved(Typecode.CPU)[0]), Record(Typecode.CPU_XSAVE, 0, bytes(payload)))
    assert machine.saved(Typecode.CPU)[0][160] == 0xEE


def area(xcr0: int = 7, accumulated: int = 7, xstate_bv: int = 7, xcomp_bv: int = 0, size: int = 24 + 832) -> bytes:
    head = struct.pack("<QQQ", 7, xcr0, accumulated)
    return (head + bytes(512) + struct.pack("<QQ", xstate_bv, xcomp_bv)).ljust(size, b"\0")[:size]


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (area(size=599), "EINVAL"), (area(size=800), "EINVAL"), (area(xcr0=6), "EINVAL"), (area(xcr0=5), "EINVAL"),
        (area(accumulated=3), "EINVAL"), (area(accumulated=0x207), "EINVAL"), (area(xstate_bv=15), "EINVAL"),
        (area(xcomp_bv=1 << 63), "EOPNOTSUPP"), (area() + b"\1", "EOPNOTSUPP"),
    ],
)
def test_a_bad_area_is_refused(payload: bytes, answer: str) -> None:
    with refused(answer):
        Machine().load(Record(Typecode.CPU_XSAVE, 1, payload))


def test_zeros_behind_the_area_are_ignored() -> None:
    machine = Machine()
    machine.load(Record(Typecode.CPU_XSAVE, 1, area() + bytes(100)))
    assert machine.saved(Typecode.CPU_XSAVE)[1] == area()


def test_a_host_without_xsave_refuses_every_area() -> None:
    with refused("EOPNOTSUPP"):
        Machine(xfeature_mask=0).load(Record(Typecode.CPU_XSAVE, 1, area()))


def test_an_area_of_x87_and_sse_has_no_room_for_avx() -> None:
    assert extended.area_size(3) == 576
