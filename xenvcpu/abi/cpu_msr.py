# SPDX-License-Identifier: MIT
"""The CPU_MSR record: MSRs of one vcpu that have no field of their own in the CPU record.

Source: `struct hvm_msr` in xen/include/public/arch-x86/hvm/save.h; xen/arch/x86/hvm/hvm.c,
hvm_save_cpu_msrs and hvm_load_cpu_msrs. Xen writes no record when every MSR is zero.
"""

from __future__ import annotations

from collections.abc import Iterable

from xenvcpu.abi.layout import Layout, sequence
from xenvcpu.errors import FormatError

HEAD_LAYOUT = Layout("hvm_msr", 8, sequence("count", 4))
"""Four bytes of padding follow `count`. Xen's buffer is not cleared: anything may stand there."""

ENTRY_LAYOUT = Layout("hvm_one_msr", 16, [*sequence("index _rsvd", 4), *sequence("val", 8, 8)])


def decode(payload: bytes) -> tuple[tuple[int, int], ...]:
    """Read the payload of a CPU_MSR record.

    Returns:
        (index, value) pairs in the order of the record.

    Raises:
        FormatError: The length is not that of `count` entries, or a reserved field is not zero.
    """
    head, entry = HEAD_LAYOUT.size, ENTRY_LAYOUT.size
    if len(payload) < head:
        raise FormatError(f"a CPU_MSR record has at least {head} bytes, got {len(payload)}", offset=len(payload))
    count = HEAD_LAYOUT.unpack(payload[:head])["count"]
    if len(payload) != head + count * entry:
        raise FormatError(
            f"a CPU_MSR record with count {count} has {head + count * entry} bytes, got {len(payload)}",
            offset=min(len(payload), head + count * entry),
        )
    pairs = []
    for offset in range(head, len(payload), entry):
        image = ENTRY_LAYOUT.unpack(payload[offset : offset + entry])
        if image["_rsvd"]:
            raise FormatError(
                f"CPU_MSR record: the reserved field of MSR {image['index']:#x} is {image['_rsvd']:#x}, must be zero",
                offset=offset + ENTRY_LAYOUT.fields["_rsvd"].offset,
            )
        pairs.append((image["index"], image["val"]))
    return tuple(pairs)


def encode(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Write the payload of a CPU_MSR record.

    With no pairs, leave the record out: Xen does not load an empty one.

    Raises:
        ContextError: An index has more than 32 bits or a value more than 64.
    """
    entries = [ENTRY_LAYOUT.image({"index": index, "val": value}).pack() for index, value in pairs]
    return HEAD_LAYOUT.image({"count": len(entries)}).pack() + b"".join(entries)
