# SPDX-License-Identifier: MIT
"""What either interface leaves in a vcpu, written as the CPU record a save would then show.

One home for it: the dom0 encoder starts from this record, so that both interfaces
leave the same state; the lints judge it; the model stores it.
Source: arch_set_info_hvm_guest, hvm_load_cpu_ctxt and hvm_set_segment_register (arch/x86/hvm, Xen 4.17).
"""

from __future__ import annotations

from xenvcpu.abi.registers import AR_G, AR_P, CR0_ET, CR0_PE, EFER_LMA, EFER_LME, EFLAGS_MBS
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.rules.release import KNOWN, Release, Since

ACCESSED, BUSY = 1 << 0, 1 << 1
EFLAGS_ALL = 0x3F7FD5
DR6_DEFAULT, DR7_DEFAULT = 0xFFFF0FF0, 0x400
FLAT = 0xFFFFFFFF

CANCELS_ACCESS = Since("4.14")
"""Where a load of a CPU record makes Xen forget the access to a device that the vcpu is in the middle of
(hvmemul_cancel)."""

_FORCES_ACCESSED = Since("4.7.2", "4.8.1", "4.9")
_ONLY_IF_PRESENT = Since("4.9")
_BUSY_ALWAYS = Since("4.23")
_MASKS_RFLAGS = Since("4.21.1", "4.22")
_G_FOLLOWS_LIMIT = Since("4.9")
_FIXES_DEBUG = Since("4.18")
_FLAGS, _VMX_FLAGS = 0x0F00, 0xF000
_DR6_KEPT, _DR7_KEPT = 0x1E00F, 0xFFFF2BFF

SEGMENTS_64B = {"cs": (FLAT, 0xA9B), "ds": (FLAT, 0xC93), "ss": (FLAT, 0xC93), "es": (FLAT, 0xC93), "tr": (0x67, 0x8B)}
"""Limit and attributes that Xen chooses in 64B mode; bases and selectors are 0."""

FRESH = cpu_record.LAYOUT.image({
    "cr0": CR0_PE | CR0_ET, "dr6": DR6_DEFAULT, "dr7": DR7_DEFAULT, "rflags": EFLAGS_MBS,
    **{f"{name}_limit": FLAT for name in ("cs", "ds", "es", "ss", "fs", "gs")},
    **{f"{name}_arbytes": 0xC93 for name in ("ds", "es", "ss", "fs", "gs")},
    "cs_arbytes": 0xC9B, "tr_arbytes": 0x8B, "tr_limit": 0xFF,
})
"""A vcpu as the builder leaves it (construct_vmcb; LDTR is null)."""


def adjusted_ar(segment: str, ar: int, release: Release) -> int:
    """The attribute word after Xen has set the accessed or busy bit, as check_segment sees it.

    VCPUOP_initialise has no LDTR, and an LDT has no such bit: there the lowest bit is another type.
    """
    if segment == "ldtr" or release not in _FORCES_ACCESSED:
        return ar
    is_tss = segment == "tr"
    if ar & AR_P or release not in _ONLY_IF_PRESENT or is_tss and release in _BUSY_ALWAYS:
        return ar | (BUSY if is_tss else ACCESSED)
    return ar


def loaded_ar(ar: int, limit: int, release: Release = KNOWN[-1]) -> int:
    """The attribute word after hvm_set_segment_register, which makes G of a present segment follow the limit (4.9+)."""
    if not ar & AR_P or release not in _G_FOLLOWS_LIMIT:
        return ar
    return ar & ~AR_G | (AR_G if limit >> 20 else 0)


def unfolded_ar(word: int) -> int:
    """The attribute word of a CPU record; one in the form of the VMCS is converted, as Xen does."""
    if word & _VMX_FLAGS and not word & _FLAGS:
        return word & 0xFF | word >> 4 & _FLAGS
    return word & 0xFFFF


def loaded_rflags(rflags: int, release: Release) -> int:
    """RFLAGS as VCPUOP_initialise stores it; bit 1 is set at VM entry in any case."""
    return (rflags & EFLAGS_ALL if release in _MASKS_RFLAGS else rflags) | EFLAGS_MBS


def _segments(context: Image, release: Release) -> dict[str, int]:
    values: dict[str, int] = {}
    for name in vcpu_hvm_context.SEGMENTS:
        if context["mode"] == Mode.VCPU_HVM_MODE_64B:
            base, (limit, ar) = 0, SEGMENTS_64B[name]
        else:
            base, limit = context[f"{name}_base"], context[f"{name}_limit"]
            ar = adjusted_ar(name, context[f"{name}_ar"], release)
        values.update({
            f"{name}_sel": 0, f"{name}_base": base, f"{name}_limit": limit,
            f"{name}_arbytes": loaded_ar(ar, limit, release),
        })
    return values


def after_initialise(context: Image, release: Release, before: Image = FRESH) -> Image:
    """The state of a vcpu after VCPUOP_initialise with an accepted context.

    Args:
        context: An image of `struct vcpu_hvm_context`.
        release: The running Xen.
        before: The vcpu's state before; what the call does not touch stays as it is there.

    Returns:
        The state as a CPU record of 1032 bytes.
    """
    letter = "r" if context["mode"] == Mode.VCPU_HVM_MODE_64B else "e"
    registers = {f"r{name}": context[f"{letter}{name}"] for name in "ax cx dx bx sp bp si di ip".split()}
    efer = context["efer"]
    return before.with_values(
        **registers,
        rflags=loaded_rflags(context[f"{letter}flags"], release),
        cr0=context["cr0"], cr3=context["cr3"], cr4=context["cr4"],
        msr_efer=efer | (EFER_LMA if efer & EFER_LME else 0),
        **_segments(context, release),
    )


def after_load(record: Image, release: Release) -> Image:
    """The state of a vcpu after the load of an accepted CPU record.

    Args:
        record: The record as it was given, of 1032 or 1024 bytes.
        release: The running Xen.

    Returns:
        The state in the layout of the record; `tsc`, `msr_flags` and a pending event are as given.
    """
    changes = {"cr0": record["cr0"] | CR0_ET, "rflags": record["rflags"] | EFLAGS_MBS}
    for name in cpu_record.SEGMENTS:
        ar = unfolded_ar(record[f"{name}_arbytes"])
        changes[f"{name}_sel"] = record[f"{name}_sel"] & 0xFFFF
        changes[f"{name}_arbytes"] = loaded_ar(ar, record[f"{name}_limit"], release)
    if release in _FIXES_DEBUG:
        changes["dr6"] = record["dr6"] & _DR6_KEPT | DR6_DEFAULT
        changes["dr7"] = record["dr7"] & _DR7_KEPT | DR7_DEFAULT
    return record.with_values(**changes)
