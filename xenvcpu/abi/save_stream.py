# SPDX-License-Identifier: MIT
"""The HVM save stream: records one after another, from HEADER to END.

Source: xen/include/public/hvm/save.h and public/arch-x86/hvm/save.h. The framing has been
the same since before 4.6; what grew is the set of typecodes and some payloads. Records are
carried as they are, known or not.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from xenvcpu.abi.layout import Field, Layout, sequence
from xenvcpu.errors import FormatError

MAGIC = 0x54381286
VERSION = 1
MAX_RECORDS = 1 << 16
"""No domain has so many: 128 vcpus make about a thousand. A bound, since a record may be empty."""


class Typecode(enum.IntEnum):
    """What a record holds; the names are those of DECLARE_HVM_SAVE_TYPE."""

    END = 0
    HEADER = 1
    CPU = 2
    PIC = 3
    IOAPIC = 4
    LAPIC = 5
    LAPIC_REGS = 6
    PCI_IRQ = 7
    ISA_IRQ = 8
    PCI_LINK = 9
    PIT = 10
    RTC = 11
    HPET = 12
    PMTIMER = 13
    MTRR = 14
    VIRIDIAN_DOMAIN = 15
    CPU_XSAVE = 16
    VIRIDIAN_VCPU = 17
    VMCE_VCPU = 18
    TSC_ADJUST = 19
    CPU_MSR = 20


PER_VCPU = frozenset({
    Typecode.CPU, Typecode.LAPIC, Typecode.LAPIC_REGS, Typecode.MTRR, Typecode.CPU_XSAVE, Typecode.VIRIDIAN_VCPU,
    Typecode.VMCE_VCPU, Typecode.TSC_ADJUST, Typecode.CPU_MSR,
})
"""The types whose instance is a vcpuid."""

DESCRIPTOR_LAYOUT = Layout("hvm_save_descriptor", 8, [*sequence("typecode instance", 2), Field("length", 4, 4)])
HEADER_LAYOUT = Layout(
    "hvm_save_header", 24, [*sequence("magic version", 4), Field("changeset", 8, 8), *sequence("cpuid gtsc_khz", 4, 16)]
)

# A stream of 128 vcpus has a thousand records and is handled while the domain is paused:
# here the descriptor is packed without the detour over an Image.
_DESCRIPTOR = struct.Struct("<HHI")


class Record(NamedTuple):
    """One save record: what its descriptor says, and its payload.

    Attributes:
        typecode: A `Typecode`, or a number that we do not know.
        instance: The vcpuid for the types in `PER_VCPU`.
        payload: The bytes behind the descriptor.
    """

    typecode: int
    instance: int
    payload: bytes

    @property
    def name(self) -> str:
        """The name of the type, or its number."""
        return Typecode(self.typecode).name if self.typecode in _KNOWN else str(self.typecode)


class Stream(NamedTuple):
    """A save stream.

    Attributes:
        records: All records, END included.
        trailing: What follows END. Xen ignores it; several releases return the unused
            part of the caller's buffer there.
    """

    records: tuple[Record, ...]
    trailing: bytes = b""


_KNOWN = frozenset(Typecode)
END = Record(Typecode.END, 0, b"")


def header(changeset: int = 0, cpuid: int = 0, gtsc_khz: int = 0) -> Record:
    """A HEADER record.

    Args:
        changeset: Which Xen saved; only information.
        cpuid: CPUID leaf 1 EAX of the host; Xen logs a line when it is another processor's.
        gtsc_khz: The guest's TSC frequency; 0 leaves the domain's as it is.

    Raises:
        ContextError: A value does not fit.
    """
    values = {"magic": MAGIC, "version": VERSION, "changeset": changeset, "cpuid": cpuid, "gtsc_khz": gtsc_khz}
    return Record(Typecode.HEADER, 0, HEADER_LAYOUT.image(values).pack())


def _descriptors(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Offset, typecode, instance and length of each record up to END."""
    position, size, end = 0, len(data), int(Typecode.END)
    typecode: int | None = None
    count = 0
    while typecode != end:
        if count == MAX_RECORDS:
            raise FormatError(f"save stream: more than {MAX_RECORDS} records, at offset {position}", offset=position)
        count += 1
        if size - position < _DESCRIPTOR.size:
            what = "a descriptor is cut off" if size > position else "there is no END record"
            raise FormatError(f"save stream of {size} bytes: {what} at offset {position}", offset=position)
        typecode, instance, length = _DESCRIPTOR.unpack_from(data, position)
        if length > size - position - _DESCRIPTOR.size:
            raise FormatError(
                f"save stream of {size} bytes: the record at offset {position} (typecode {typecode}, instance"
                f" {instance}) has {length} bytes, {size - position - _DESCRIPTOR.size} are left", offset=position,
            )
        yield position, typecode, instance, length
        position += _DESCRIPTOR.size + length


def walk(data: bytes, wanted: Container[int] | None = None) -> Iterator[tuple[int, Record]]:
    """The records up to END, each with the offset of its descriptor, as Xen goes through them.

    Args:
        data: A save stream.
        wanted: The typecodes to give; all if None.

    Raises:
        FormatError: On reaching a descriptor that is cut off, a payload that overruns the
            stream, the end of the bytes with no END before it, or one record more than `MAX_RECORDS`.
    """
    for position, typecode, instance, length in _descriptors(data):
        if wanted is None or typecode in wanted:
            start = position + _DESCRIPTOR.size
            yield position, Record(typecode, instance, data[start : start + length])


def split(data: bytes) -> Stream:
    """Take a save stream apart.

    `join(stream.records) + stream.trailing` gives the same bytes again.

    Raises:
        FormatError: A record is cut off, there is no END, or there are too many; with the offset.
    """
    data = bytes(data)
    records = tuple(record for _, record in walk(data))
    end = sum(_DESCRIPTOR.size + len(record.payload) for record in records)
    return Stream(records, data[end:])


def join(records: Iterable[Record]) -> bytes:
    """Put records together; nothing is added, HEADER and END are the caller's.

    Raises:
        FormatError: A typecode or instance has more than 16 bits, or a payload more than 4 GiB.
    """
    pack, parts = _DESCRIPTOR.pack, []
    try:
        for typecode, instance, payload in records:
            parts.append(pack(typecode, instance, len(payload)))
            parts.append(payload)
    except struct.error as error:
        raise FormatError(f"record {typecode}, instance {instance}, {len(payload)} bytes: {error}") from error
    return b"".join(parts)


def find(records: Iterable[Record], typecode: int, instance: int = 0) -> Record | None:
    """The record of that type and instance, or None; the last one, which wins when Xen loads them."""
    return by_vcpu(records, typecode).get(instance)


def by_vcpu(records: Iterable[Record], typecode: int) -> dict[int, Record]:
    """The records of one type by their instance; of two with the same, the last."""
    return {record.instance: record for record in records if record.typecode == typecode}
