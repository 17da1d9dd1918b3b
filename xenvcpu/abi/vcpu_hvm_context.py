# SPDX-License-Identifier: MIT
"""`struct vcpu_hvm_context`: the argument of VCPUOP_initialise (Xen 4.7 and later).

Source: xen/include/public/hvm/hvm_vcpu.h, unchanged from 4.7 to 4.22.
"""

from __future__ import annotations

import enum

from xenvcpu.abi.layout import Field, Image, Layout, sequence
from xenvcpu.errors import FormatError

SIZE = 128
SEGMENTS = ("cs", "ds", "ss", "es", "tr")
"""The order of the segments in the struct, for base, limit and attributes alike."""


class Mode(enum.IntEnum):
    """`mode`: which register block of the struct is used."""

    VCPU_HVM_MODE_32B = 0
    VCPU_HVM_MODE_64B = 1


def _segments(what: str) -> str:
    return " ".join(f"{name}_{what}" for name in SEGMENTS)


_HEAD = sequence("mode pad", 4)

LAYOUT_32B = Layout(
    "vcpu_hvm_context", SIZE,
    [
        *_HEAD,
        *sequence("eax ecx edx ebx esp ebp esi edi eip eflags cr0 cr3 cr4 pad1", 4, 8),
        Field("efer", 64, 8),
        *sequence(_segments("base"), 4, 72),
        *sequence(_segments("limit"), 4, 92),
        *sequence(_segments("ar") + " pad2[0] pad2[1] pad2[2]", 2, 112),
    ],
)
LAYOUT_64B = Layout(
    "vcpu_hvm_context", SIZE,
    [*_HEAD, *sequence("rax rcx rdx rbx rsp rbp rsi rdi rip rflags cr0 cr3 cr4 efer", 8, 8)],
)


def layout(mode: int) -> Layout:
    """The layout that Xen reads for a `mode`; an unknown mode is shown as 32B."""
    return LAYOUT_64B if mode == Mode.VCPU_HVM_MODE_64B else LAYOUT_32B


def decode(data: bytes) -> Image:
    """Read the 128 bytes of a `struct vcpu_hvm_context`.

    Raises:
        FormatError: Not 128 bytes.
    """
    if len(data) != SIZE:
        raise FormatError(f"vcpu_hvm_context is {SIZE} bytes, got {len(data)}", offset=min(len(data), SIZE))
    return layout(int.from_bytes(data[:4], "little")).unpack(data)
