# SPDX-License-Identifier: MIT
"""`VcpuContext`: everything a vcpu starts with, whichever interface carries it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Iterator, Mapping, Optional, Tuple, Type

from xenvcpu.abi.cpu_record import FPU_SIZE, SEGMENTS
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.errors import ContextError

_BITS_32 = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "rip", "rflags", "cr0", "cr3", "cr4")
_MSR_INDEX_BITS = 32
_TYPES: Mapping[str, Type[Any]] = {
    "mode": Mode, "fpu_regs": bytes, "msrs": tuple,
    **dict.fromkeys(SEGMENTS, Segment), **dict.fromkeys(("gdtr", "idtr"), DescriptorTable),
}


@dataclass(frozen=True)
class VcpuContext:
    """The first state of a vcpu: a frozen value, checked for range and nothing else.

    The first group stands in `struct vcpu_hvm_context`. Everything after `tr` is
    *extended*: only the dom0 interface carries it, and None means "as VCPUOP_initialise
    leaves it on a fresh vcpu". In 64B mode the segments are extended too: None there is
    the flat segment that Xen chooses; in 32B mode None is a null segment.

    Attributes:
        mode: Which register block is meant. 32B covers 16-bit, 32-bit and compatibility-mode starts.
        rax: General registers have their 64-bit names; in 32B mode they hold 32 bits.
        cs: Segments with base, limit in bytes, attribute word and selector.
        fpu_regs: The 512-byte FXSAVE image.
        msrs: (index, value) pairs for the CPU_MSR record.
    """

    mode: Mode = Mode.VCPU_HVM_MODE_32B
    rax: int = 0
    rcx: int = 0
    rdx: int = 0
    rbx: int = 0
    rsp: int = 0
    rbp: int = 0
    rsi: int = 0
    rdi: int = 0
    rip: int = 0
    rflags: int = 0
    cr0: int = 0
    cr3: int = 0
    cr4: int = 0
    efer: int = 0
    cs: Optional[Segment] = None
    ds: Optional[Segment] = None
    ss: Optional[Segment] = None
    es: Optional[Segment] = None
    tr: Optional[Segment] = None
    r8: Optional[int] = None
    r9: Optional[int] = None
    r10: Optional[int] = None
    r11: Optional[int] = None
    r12: Optional[int] = None
    r13: Optional[int] = None
    r14: Optional[int] = None
    r15: Optional[int] = None
    fs: Optional[Segment] = None
    gs: Optional[Segment] = None
    ldtr: Optional[Segment] = None
    gdtr: Optional[DescriptorTable] = None
    idtr: Optional[DescriptorTable] = None
    shadow_gs: Optional[int] = None
    cr2: Optional[int] = None
    dr0: Optional[int] = None
    dr1: Optional[int] = None
    dr2: Optional[int] = None
    dr3: Optional[int] = None
    dr6: Optional[int] = None
    dr7: Optional[int] = None
    sysenter_cs: Optional[int] = None
    sysenter_esp: Optional[int] = None
    sysenter_eip: Optional[int] = None
    msr_star: Optional[int] = None
    msr_lstar: Optional[int] = None
    msr_cstar: Optional[int] = None
    msr_syscall_mask: Optional[int] = None
    msr_tsc_aux: Optional[int] = None
    fpu_regs: Optional[bytes] = None
    msrs: Tuple[Tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name, value in self:
            self._require_type(name, value)
            if isinstance(value, int) and name != "mode":
                is_narrow = name in _BITS_32 and self.mode is Mode.VCPU_HVM_MODE_32B
                self._require(name, value, 32 if is_narrow else 64)
        if self.fpu_regs is not None and len(self.fpu_regs) != FPU_SIZE:
            raise ContextError(
                f"fpu_regs is an FXSAVE image of {FPU_SIZE} bytes, got {len(self.fpu_regs)}", field="fpu_regs",
                value=len(self.fpu_regs), rule="range",
            )
        for index, value in self.msrs:
            self._require_type("msrs index", index)
            self._require_type(f"msrs.{index:#x}", value)
            self._require("msrs", index, _MSR_INDEX_BITS)
            self._require(f"msrs.{index:#x}", value, 64)

    def __iter__(self) -> Iterator[Tuple[str, Any]]:
        """The fields in order, as (name, value)."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))

    @staticmethod
    def _require_type(name: str, value: object) -> None:
        wanted = _TYPES.get(name, int)
        is_left_out = value is None and name in _OPTIONAL
        if not is_left_out and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise ContextError(
                f"{name} = {value!r} is not of type {wanted.__name__}", field=name, value=value, rule="type",
                remedy="texts with numbers or expressions are for context files" if isinstance(value, str) else "",
            )

    def _require(self, name: str, value: int, bits: int) -> None:
        if not 0 <= value < 1 << bits:
            block = "32B" if self.mode is Mode.VCPU_HVM_MODE_32B else "64B"
            raise ContextError(
                f"{name} = {value:#x} does not fit the {bits} bits it has in {block} mode", field=name, value=value,
                rule="range", remedy=f"give a value from 0 to {(1 << bits) - 1:#x}",
            )

    def replace(self, **changes: Any) -> VcpuContext:
        """A copy with some fields changed.

        Raises:
            ContextError: A value does not fit its field.
        """
        return replace(self, **changes)


_OPTIONAL = frozenset(field.name for field in fields(VcpuContext) if field.default is None)
