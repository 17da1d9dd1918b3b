# SPDX-License-Identifier: MIT
"""What a domain's save stream says about its vcpus, as far as a start needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import FormatError

_TSC = cpu_record.LAYOUT.fields["tsc"]


@dataclass(frozen=True)
class SavedState:
    """A full save of one domain, taken while it is paused.

    Attributes:
        header: The HEADER record; it cannot be made up, only handed back.
        cpu: The CPU record of each vcpu that is online. A vcpu that is down has none.
        xsave: The CPU_XSAVE record of each vcpu, online or not.
    """

    header: Record
    cpu: Mapping[int, Record]
    xsave: Mapping[int, Record]

    @classmethod
    def parse(cls, stream: bytes) -> SavedState:
        """Read a save stream.

        Raises:
            FormatError: It is cut off, or begins with something other than HEADER.
        """
        records = save_stream.split(stream).records
        if records[0].typecode != Typecode.HEADER:
            raise FormatError("a save stream begins with HEADER", offset=0)
        cpu, xsave = (save_stream.by_vcpu(records, code) for code in (Typecode.CPU, Typecode.CPU_XSAVE))
        return cls(records[0], cpu, xsave)

    @property
    def online(self) -> Tuple[int, ...]:
        """The vcpus that are online, in order."""
        return tuple(sorted(self.cpu))

    @property
    def tsc(self) -> bytes:
        """The guest TSC at the time of the save, as it stands in a CPU record.

        That of the boot vcpu, or of the lowest vcpu that is online; zero when none is.
        """
        boot: Optional[Record] = self.cpu[self.online[0]] if self.cpu else None
        return bytes(_TSC.size) if boot is None else boot.payload[_TSC.offset : _TSC.offset + _TSC.size]

    def record(self, vcpuid: int) -> Image:
        """The CPU record of an online vcpu."""
        return cpu_record.decode(self.cpu[vcpuid].payload)

    @property
    def kept(self) -> Tuple[Record, ...]:
        """What puts the online vcpus back as they are.

        Their CPU records, then their CPU_XSAVE records: from 4.20 a CPU record alone drops
        AVX state. MTRR records are left out: since 4.12 Xen saves wrong ones (trap 17).
        """
        return (*self.cpu.values(), *(self.xsave[vcpuid] for vcpuid in self.cpu if vcpuid in self.xsave))

    def restoring_stream(self) -> bytes:
        """The stream that puts the online vcpus back, and every other vcpu down."""
        return save_stream.join((self.header, *self.kept, save_stream.END))


def with_tsc(payload: bytes, tsc: bytes) -> bytes:
    """A CPU record's payload with another `tsc`."""
    return payload[: _TSC.offset] + tsc + payload[_TSC.offset + _TSC.size :]
