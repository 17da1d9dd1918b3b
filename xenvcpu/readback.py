# SPDX-License-Identifier: MIT
"""Whether Xen holds what was loaded: records as written against records as read back.

Xen changes some fields on the way in, and they are compared as it keeps them
(`effect.after_load`, `_as_virtual_8086`). `tsc` goes on with time, and the FPU image counts only where one was given.
"""

from __future__ import annotations

from typing import Collection, List, Sequence, Tuple

from xenvcpu.abi.registers import AR_P, CR0_PE
from xenvcpu.abi import cpu_record, xsave
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record
from xenvcpu.rules import effect
from xenvcpu.rules.release import KNOWN
from xenvcpu.savedstate import SavedState

_IGNORED = frozenset({"tsc", "msr_flags", "flags", "pad0"})
_VM86_SEGMENTS = ("cs", "ds", "es", "ss", "fs", "gs")
_VM86_TOP, _VM86_LIMIT, _SMALL_DATA = 1 << 20, 0xFFFF, 0x93
_FPU = slice(cpu_record.FPU_SIZE)
_FLAGS = cpu_record.LAYOUT.fields["flags"].offset
_BEFORE_TSC = slice(cpu_record.FPU_SIZE, cpu_record.LAYOUT.fields["tsc"].offset)
_AFTER_TSC = slice(cpu_record.LAYOUT.fields["pending_event"].offset, cpu_record.LAYOUT.fields["flags"].offset)


def _as_kept(record: Image) -> Image:
    """A record as Xen keeps it; of a segment that is not present the attributes do not count."""
    kept = effect.after_load(record, KNOWN[-1])
    words = (f"{name}_arbytes" for name in cpu_record.SEGMENTS)
    return kept.with_values(**{word: 0 for word in words if not kept[word] & AR_P})


def _as_virtual_8086(kept: Image) -> Image:
    """How VT-x without "unrestricted guest" shows a vcpu in real mode, which it runs as a virtual-8086 task.

    A segment that such a task can have gets the selector of its base, and SS the attributes of a small data segment
    too. Any other segment reads as it was loaded.

    Source: vmx_set_segment_register, vmx_get_segment_register (4.7 to 4.22).
    """
    if kept["cr0"] & CR0_PE:
        return kept
    changes = {}
    for name in _VM86_SEGMENTS:
        base, limit = kept[f"{name}_base"], kept[f"{name}_limit"]
        fits = base < _VM86_TOP and not base & 0xF and limit >= _VM86_LIMIT
        if fits and kept[f"{name}_arbytes"] & AR_P:
            changes[f"{name}_sel"] = base >> 4
            if name == "ss":
                changes.update(ss_limit=_VM86_LIMIT, ss_arbytes=_SMALL_DATA)
    return kept.with_values(**changes)


def record_differences(vcpuid: int, wanted: bytes, got: bytes) -> List[str]:
    """How a CPU record that was read back differs from the one that was loaded, one line a field."""
    lines = []
    # The guest is paused meanwhile: nothing is decoded while the bytes are the same.
    if wanted[_BEFORE_TSC] != got[_BEFORE_TSC] or wanted[_AFTER_TSC] != got[_AFTER_TSC]:
        asked, holds = _as_kept(cpu_record.decode(wanted)), _as_kept(cpu_record.decode(got))
        shown = _as_virtual_8086(asked)
        lines += [
            f"vcpu {vcpuid}: {name} is {holds[name]:#x}, not {value:#x}"
            for name, value in asked.values.items()
            if name not in _IGNORED and holds[name] not in (value, shown[name])
        ]
    has_fpu = len(wanted) < cpu_record.SIZE or wanted[_FLAGS] & cpu_record.FPU_INITIALISED
    if has_fpu and wanted[_FPU] != got[_FPU]:
        lines.append(f"vcpu {vcpuid}: the FPU image is another")
    return lines


def _lost_components(vcpuid: int, wanted: bytes, got: bytes) -> List[str]:
    before, after = (xsave.decode(payload)[xsave.XSTATE_BV] for payload in (wanted, got))
    lost = before & ~after & ~xsave.XSTATE_LEGACY
    return [f"vcpu {vcpuid}: its {', '.join(xsave.components(lost))} state was dropped"] if lost else []


def online_differences(
    found: SavedState, new: Sequence[Record], after: SavedState, gone: Collection[int] = ()
) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """The vcpus that should be online and are not, and those that are and should not be.

    Args:
        found: The domain before.
        new: The CPU records that were added.
        after: The domain after.
        gone: The vcpus that were made fresh.
    """
    expected = {*found.cpu, *(record.instance for record in new)} - set(gone)
    return tuple(sorted(expected - set(after.cpu))), tuple(sorted(set(after.cpu) - expected))


def state_differences(
    found: SavedState, new: Sequence[Record], after: SavedState, gone: Collection[int] = ()
) -> List[str]:
    """How the vcpus that are online, as they should be, differ from what was asked or found; arguments as above."""
    lines = []
    kept = [vcpuid for vcpuid in found.cpu if vcpuid not in gone]
    for record in (*map(found.cpu.__getitem__, kept), *new):
        got = after.cpu.get(record.instance)
        if got is not None:
            lines += record_differences(record.instance, record.payload, got.payload)
    for vcpuid in kept:
        if vcpuid in found.xsave and vcpuid in after.xsave:
            lines += _lost_components(vcpuid, found.xsave[vcpuid].payload, after.xsave[vcpuid].payload)
        elif vcpuid in found.xsave:
            lines.append(f"vcpu {vcpuid}: its CPU_XSAVE record is gone")
    for vcpuid, pat in found.own_pats.items():
        if vcpuid in kept and after.own_pats.get(vcpuid) != pat:
            lines.append(f"vcpu {vcpuid}: its PAT is no more {pat:#x}")
    return lines


def differences(
    found: SavedState, new: Sequence[Record], after: SavedState, gone: Collection[int] = ()
) -> List[str]:
    """Everything that is not as it was asked or found, one line each; arguments as above."""
    down, surplus = online_differences(found, new, after, gone)
    return [
        *(f"vcpu {vcpuid} is not online" for vcpuid in down),
        *state_differences(found, new, after, gone),
        *(f"vcpu {vcpuid} is online, though nobody asked" for vcpuid in surplus),
    ]
