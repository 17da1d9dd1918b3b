# SPDX-License-Identifier: MIT
"""`struct vcpu_hvm_context` and the CPU record as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import blobs
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.context import presets
from xenvcpu.encoding import to_vcpu_hvm_context
from xenvcpu.errors import FormatError

FLAT32 = struct.pack(
    "<2I 14I Q 10I 8H", 0, 0, 0, 0, 0, 0, 0x9000, 0, 0, 0, 0x100000, 2, 0x11, 0, 0, 0, 0,
    0, 0, 0, 0, 0, *[0xFFFFFFFF] * 4, 0x67, 0xC9B, 0xC93, 0xC93, 0xC93, 0x8B, 0, 0, 0,
)
LONG64 = struct.pack(
    "<2I 14Q 8x", 1, 0, 0, 0, 0, 0, 0x9000, 0, 0, 0, 0x100000, 2, 0x80000011, 0x1000, 0x20, 0x500
)


def test_the_flat_32_bit_start_has_these_bytes() -> None:
    assert FLAT32 == to_vcpu_hvm_context(presets.flat32(eip=0x100000, esp=0x9000)).pack()


def test_the_64_bit_start_has_these_bytes() -> None:
    assert LONG64 == to_vcpu_hvm_context(presets.long64(rip=0x100000, rsp=0x9000, cr3=0x1000)).pack()


@given(st.sampled_from([0, 1, 2, 2**32 - 1]), st.binary(min_size=124, max_size=124))
def test_any_vcpu_hvm_context_comes_back_byte_for_byte(mode: int, block: bytes) -> None:
    data = mode.to_bytes(4, "little") + block
    image = vcpu_hvm_context.decode(data)
    assert (data, mode) == (image.pack(), image["mode"])


@pytest.mark.parametrize(("head", "layout"), [
    ("00000000 ffffffff", vcpu_hvm_context.LAYOUT_32B), ("01000000 ffffffff", vcpu_hvm_context.LAYOUT_64B),
    ("02000000 00000000", vcpu_hvm_context.LAYOUT_32B), ("01000001 00000000", vcpu_hvm_context.LAYOUT_32B),
])
def test_the_four_bytes_of_the_mode_choose_the_block(head: str, layout: object) -> None:
    assert vcpu_hvm_context.decode(bytes.fromhex(head).ljust(128, b"\0")).layout is layout


@given(blobs(1024) | blobs(1032))
def test_any_cpu_record_comes_back_byte_for_byte(data: bytes) -> None:
    assert data == cpu_record.decode(data).pack()


def test_the_fpu_image_of_a_cpu_record_is_what_no_field_covers() -> None:
    data = bytes(range(256)) * 2 + bytes(520)
    assert data[:512] == cpu_record.decode(data).rest


@pytest.mark.parametrize("size", [0, 1, 127, 129])
def test_another_length_is_no_vcpu_hvm_context(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        vcpu_hvm_context.decode(bytes(size))
    assert min(size, 128) == caught.value.offset


@pytest.mark.parametrize("size", [0, 1016, 1023, 1031, 1033])
def test_another_length_is_no_cpu_record(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        cpu_record.decode(bytes(size))
    assert min(size, 1032) == caught.value.offset
