# SPDX-License-Identifier: MIT
"""The CPU_XSAVE record: extended processor state of one vcpu (x87, SSE, AVX and later).

Source: `struct hvm_hw_cpu_xsave` in xen/include/public/arch-x86/hvm/save.h. The XSAVE area
behind its three own fields has the standard (not compacted) form of SDM volume 1, 13.4,
and is as long as the components in `xcr0_accum` need.
"""

from __future__ import annotations

import functools
from types import MappingProxyType

from xenvcpu.abi.layout import Image, Layout, sequence
from xenvcpu.errors import FormatError

AREA_OFFSET = 24
XSAVE_HEADER_OFFSET = AREA_OFFSET + 512
SIZE_MIN = XSAVE_HEADER_OFFSET + 64

XSTATE_FP, XSTATE_SSE, XSTATE_YMM = 1 << 0, 1 << 1, 1 << 2
XSTATE_LEGACY = XSTATE_FP | XSTATE_SSE
"""The components in the FXSAVE image, which the CPU record carries too."""

COMPONENTS = MappingProxyType({
    0: "x87", 1: "sse", 2: "ymm", 3: "bndregs", 4: "bndcsr", 5: "opmask", 6: "zmm", 7: "hi_zmm", 9: "pkru",
    17: "tilecfg", 18: "tiledata",
})
"""The state components by their bit in XCR0 (SDM volume 1, 13.1)."""


XSTATE_BV = "save_area.xsave_hdr.xstate_bv"
"""The field with the components that are not in their initial state."""


@functools.lru_cache(maxsize=8)
def layout(size: int) -> Layout:
    """The layout of a record whose payload has `size` bytes; the area itself is the image's `rest`."""
    return Layout(
        "hvm_hw_cpu_xsave", size,
        [
            *sequence("xfeature_mask xcr0 xcr0_accum", 8),
            *sequence(f"{XSTATE_BV} save_area.xsave_hdr.xcomp_bv", 8, XSAVE_HEADER_OFFSET),
        ],
    )


def decode(payload: bytes) -> Image:
    """Read the payload of a CPU_XSAVE record.

    Raises:
        FormatError: Fewer than 600 bytes: no room for the FXSAVE image and the XSAVE header.
    """
    if len(payload) < SIZE_MIN:
        raise FormatError(f"a CPU_XSAVE record has at least {SIZE_MIN} bytes, got {len(payload)}", offset=len(payload))
    return layout(len(payload)).unpack(payload)


def components(bits: int) -> tuple[str, ...]:
    """The names of the state components in XSTATE_BV, XCR0 or the like; numbers for unknown ones."""
    return tuple(COMPONENTS.get(bit, str(bit)) for bit in range(bits.bit_length()) if bits >> bit & 1)
