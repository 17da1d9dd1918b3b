# SPDX-License-Identifier: MIT
"""The FPU image of a CPU record and the XSAVE area: what one does to the other.

Source: hvm_load_cpu_ctxt and hvm_load_cpu_xsave_states (arch/x86/hvm/hvm.c), vcpu_setup_fpu
and vcpu_reset_fpu (arch/x86/i387.c), Xen 4.11, 4.17 and 4.20.
"""

from __future__ import annotations

import errno
import struct
from typing import Optional

from xenvcpu.abi import cpu_record, xsave
from xenvcpu.model.answer import Refused
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules.release import Release, Since

FPU = slice(0, cpu_record.FPU_SIZE)
AREA = slice(xsave.AREA_OFFSET, xsave.AREA_OFFSET + cpu_record.FPU_SIZE)
_HEADER = struct.Struct("<QQ")
_XCR0 = struct.Struct("<QQQ")
_FLAGS = cpu_record.LAYOUT.fields["flags"].offset
_WIPES_EXTENDED = Since("4.20")
_RESETS = Since("4.12")
ALWAYS_VALID = Since("4.22")
"""Releases in which a save marks every FPU image as valid."""

_MXCSR_OFFSET = 24


def reset_image(release: Release) -> bytes:
    """The FXSAVE image of a processor after reset: FCW 0x40, MXCSR 0x1f80."""
    image = bytearray(cpu_record.FPU_SIZE)
    struct.pack_into("<H", image, 0, 0x40)
    struct.pack_into("<I", image, _MXCSR_OFFSET, 0x1F80)
    if release in _WIPES_EXTENDED:
        image[4] = 0xFF
    return bytes(image)


def area_size(xcr0: int) -> int:
    """Bytes of a standard XSAVE area with these components (the AVX part of CPUID leaf 0xd)."""
    return 576 + (256 if xcr0 & xsave.XSTATE_YMM else 0)


def is_fpu_valid(state: bytes) -> bool:
    """Whether a CPU record has its FPU image marked as valid."""
    return bool(state[_FLAGS] & cpu_record.FPU_INITIALISED)


def _with_area(payload: bytes, legacy: bytes, xstate_bv: int, rest: Optional[bytes]) -> bytes:
    tail = payload[xsave.SIZE_MIN :] if rest is None else rest
    header = _HEADER.pack(xstate_bv, 0) + bytes(xsave.SIZE_MIN - xsave.XSAVE_HEADER_OFFSET - _HEADER.size)
    return payload[: xsave.AREA_OFFSET] + legacy + header + tail


def after_cpu_record(vcpu: Vcpu, state: bytes, release: Release) -> Optional[bytes]:
    """What a load of a CPU record makes of the vcpu's XSAVE state (its `state` is not yet stored)."""
    payload = vcpu.xsave
    if payload is None:
        return None
    is_valid = is_fpu_valid(state)
    legacy = state[FPU] if is_valid else reset_image(release)
    xstate_bv = _HEADER.unpack_from(payload, xsave.XSAVE_HEADER_OFFSET)[0]
    if release in _WIPES_EXTENDED:
        xstate_bv = xsave.XSTATE_LEGACY if is_valid else xsave.XSTATE_FP
        return _with_area(payload, legacy, xstate_bv, bytes(len(payload) - xsave.SIZE_MIN))
    if is_valid:
        return _with_area(payload, legacy, xstate_bv, None)
    if release in _RESETS:
        return _with_area(payload, legacy, xstate_bv & ~xsave.XSTATE_LEGACY | xsave.XSTATE_FP, None)
    return payload


def load_xsave(vcpu: Vcpu, payload: bytes, xfeature_mask: int) -> None:
    """Load a CPU_XSAVE record; the FPU image of the vcpu follows, being the same memory.

    Raises:
        Refused: EOPNOTSUPP, EINVAL or EIO, as hvm_load_cpu_xsave_states answers.
    """
    if not xfeature_mask:
        raise Refused(errno.EOPNOTSUPP)
    if len(payload) < xsave.SIZE_MIN:
        raise Refused(errno.EINVAL)
    _, xcr0, accumulated = _XCR0.unpack_from(payload)
    xstate_bv, xcomp_bv = _HEADER.unpack_from(payload, xsave.XSAVE_HEADER_OFFSET)
    is_xcr0_bad = not xcr0 & xsave.XSTATE_FP or bool(xcr0 & xsave.XSTATE_YMM and not xcr0 & xsave.XSTATE_SSE)
    if accumulated & ~xfeature_mask or xcr0 & ~accumulated or xstate_bv & ~accumulated or is_xcr0_bad:
        raise Refused(errno.EINVAL)
    size = xsave.AREA_OFFSET + area_size(accumulated)
    if xcomp_bv or any(payload[size:]):
        raise Refused(errno.EOPNOTSUPP)
    if any(payload[xsave.XSAVE_HEADER_OFFSET + _HEADER.size : xsave.SIZE_MIN]):
        raise Refused(errno.EIO)
    if len(payload) < size:
        raise Refused(errno.EINVAL)
    vcpu.xsave = payload[:size]
    if is_fpu_valid(vcpu.state):
        vcpu.state = payload[AREA] + vcpu.state[cpu_record.FPU_SIZE :]


def make(xfeature_mask: int, legacy: bytes, extended: bytes = b"") -> bytes:
    """The payload of a CPU_XSAVE record for a guest that has enabled all components of the host."""
    area = area_size(xfeature_mask)
    head = _XCR0.pack(xfeature_mask, xfeature_mask, xfeature_mask)
    header = _HEADER.pack(xfeature_mask, 0)
    return (head + legacy + header.ljust(64, b"\0") + extended).ljust(xsave.AREA_OFFSET + area, b"\0")
