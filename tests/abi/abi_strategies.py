# SPDX-License-Identifier: MIT
"""Hypothesis strategies for segments and vcpu contexts, shared by the codec tests."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from xenvcpu.abi.vcpu_hvm_context import SEGMENTS, Mode
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.context.vcpu_context import VcpuContext

GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "rip")
EXTENDED = (
    *(f"r{n}" for n in range(8, 16)), "shadow_gs", "cr2", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "sysenter_cs",
    "sysenter_esp", "sysenter_eip", "msr_star", "msr_lstar", "msr_cstar", "msr_syscall_mask", "msr_tsc_aux",
)


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Integers of so many bits, the edges often."""
    top = (1 << bits) - 1
    return st.sampled_from([0, 1, top, top >> 1]) | st.integers(0, top)


def blobs(size: int) -> st.SearchStrategy[bytes]:
    """Any bytes of a length that is too long to be drawn byte by byte."""
    return st.integers(0, 2**32 - 1).map(lambda seed: Random(seed).randbytes(size))


def segments(selector_bits: int = 0) -> st.SearchStrategy[Segment]:
    """Segments that fit `struct vcpu_hvm_context`, but for the selector."""
    ar = st.sampled_from([0, 0x93, 0x9B, 0x8B, 0xC9B, 0xC93, 0xA9B, 0x893]) | numbers(12)
    return st.builds(Segment, numbers(32), numbers(32), ar, numbers(selector_bits) if selector_bits else st.just(0))


@st.composite
def plain_contexts(draw: st.DrawFn) -> VcpuContext:
    """Contexts that `struct vcpu_hvm_context` can hold."""
    mode = draw(st.sampled_from(Mode))
    width = 32 if mode is Mode.VCPU_HVM_MODE_32B else 64
    values = {name: draw(numbers(width)) for name in (*GENERAL, "rflags", "cr0", "cr3", "cr4")}
    if mode is Mode.VCPU_HVM_MODE_32B:
        values.update({name: draw(segments()) for name in SEGMENTS})
    return VcpuContext(mode, efer=draw(numbers(64)), **values)


@st.composite
def contexts(draw: st.DrawFn) -> VcpuContext:
    """Contexts with some extended fields."""
    wide = segments(selector_bits=16)
    return draw(plain_contexts()).replace(
        **{name: draw(st.none() | numbers(64)) for name in EXTENDED},
        **{name: draw(st.none() | wide) for name in ("fs", "gs", "ldtr")},
        **{name: draw(st.none() | st.builds(DescriptorTable, numbers(64), numbers(32))) for name in ("gdtr", "idtr")},
        fpu_regs=draw(st.none() | st.binary(min_size=512, max_size=512)),
    )
