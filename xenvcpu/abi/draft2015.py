# SPDX-License-Identifier: MIT
"""`struct vcpu_hvm_context` as proposed in August 2015, before the interface that Xen has.

Source: the xen-devel mail on "fix arch_set_info_guest for HVM guests" (v3, patch 7 of 32),
whose declarations lack their closing braces; each block is taken to end with its last field.
The layout is natural C alignment on x86-64. No release of Xen reads it.

The control registers are fields `cr0` to `cr7` here, not `cr[0]` to `cr[7]`: these are the
names in the two other formats, so that a context file keeps its keys from one to the other,
and they need no quotes in TOML.
"""

from __future__ import annotations

import enum

from xenvcpu.abi.layout import Field, Image, Layout, sequence
from xenvcpu.errors import FormatError

NAME = "draft2015"
"""What its layouts are called: the C name belongs to the final struct."""

SIZE = 216
BLOCK_OFFSET = 8
"""Where the union starts: it is aligned to 8 bytes, `mode` has 4."""

SEGMENTS = ("cs", "ds", "ss")
CONTROL = tuple(f"cr{n}" for n in range(8))


class Mode(enum.IntEnum):
    """`vcpu_hvm_mode_t`: which block of the union is used."""

    VCPU_HVM_MODE_16B = 0
    VCPU_HVM_MODE_32B = 1
    VCPU_HVM_MODE_64B = 2


_GENERAL = "ax cx dx bx sp bp si di"
_CONTROL = " ".join(CONTROL)


def _wide(letter: str) -> str:
    return " ".join(letter + name for name in _GENERAL.split())


def _segments(offset: int) -> list[Field]:
    return [
        *sequence(" ".join(f"{name}_{what}" for what in ("base", "limit") for name in SEGMENTS), 4, offset),
        *sequence(" ".join(f"{name}_ar" for name in SEGMENTS), 2, offset + 24),
    ]


_MODE = Field("mode", 0, 4)
_HIGH = " ".join(f"r{n}" for n in range(8, 16))

LAYOUTS = {
    Mode.VCPU_HVM_MODE_16B: Layout(
        NAME, SIZE, [_MODE, *sequence(f"{_GENERAL} ip", 2, 8), *sequence(_CONTROL, 4, 28), *_segments(60)]
    ),
    Mode.VCPU_HVM_MODE_32B: Layout(
        NAME, SIZE,
        [_MODE, *sequence(f"{_wide('e')} eip {_CONTROL}", 4, 8), Field("efer", 80, 8), *_segments(88)],
    ),
    Mode.VCPU_HVM_MODE_64B: Layout(
        NAME, SIZE, [_MODE, *sequence(f"{_wide('r')} {_HIGH} rip {_CONTROL} efer", 8, 8)]
    ),
}
"""The struct by its mode; alignment padding and the unused tail of the union are `Image.rest`."""


def layout(mode: int) -> Layout:
    """The layout of the struct in a `mode`; an unknown mode is shown as 64B, which covers the whole union."""
    return LAYOUTS[Mode(mode)] if mode in _KNOWN else LAYOUTS[Mode.VCPU_HVM_MODE_64B]


_KNOWN = frozenset(Mode)


def decode(data: bytes) -> Image:
    """Read the 216 bytes of the struct; `image.pack()` gives them back.

    Raises:
        FormatError: Not 216 bytes.
    """
    if len(data) != SIZE:
        raise FormatError(
            f"the 2015 draft of vcpu_hvm_context is {SIZE} bytes, got {len(data)}", offset=min(len(data), SIZE)
        )
    return layout(int.from_bytes(data[: _MODE.size], "little")).unpack(data)
