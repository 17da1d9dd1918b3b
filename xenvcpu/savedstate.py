# SPDX-License-Identifier: MIT
"""What a domain's save stream says about its vcpus, as far as a start needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from xenvcpu.abi import cpu_record, mtrr, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import FormatError
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.rule import INTEL

_PAT = slice(mtrr.LAYOUT.fields["msr_pat_cr"].size)
_TSC = cpu_record.LAYOUT.fields["tsc"]
TSC_SIZE = _TSC.size
_LENGTHS: Mapping[int, Tuple[int, ...]] = {
    Typecode.HEADER: (save_stream.HEADER_LAYOUT.size,), Typecode.MTRR: (mtrr.LAYOUT.size,),
    Typecode.CPU: (cpu_record.LAYOUT.size, cpu_record.LAYOUT_46.size),
}
"""The records that are looked into. Others are carried as they are."""


@dataclass(frozen=True)
class SavedState:
    """A full save of one domain, taken while it is paused.

    Attributes:
        header: The HEADER record; it cannot be made up, only handed back.
        cpu: The CPU record of each vcpu that is online. A vcpu that is down has none.
        xsave: The CPU_XSAVE record of each vcpu, online or not.
        mtrr: The MTRR record of each vcpu, online or not.
        release: The Xen that saved it.
        vendor: Whose processor the host has, `intel` or `amd`; None where that is not known.
    """

    header: Record
    cpu: Mapping[int, Record]
    xsave: Mapping[int, Record]
    mtrr: Mapping[int, Record]
    release: Release = KNOWN[-1]
    vendor: Optional[str] = None

    @classmethod
    def parse(cls, stream: bytes, release: Release = KNOWN[-1], vendor: Optional[str] = None) -> SavedState:
        """Read a save stream of some release.

        Raises:
            FormatError: It is cut off, begins with something other than HEADER, or has a record of a length
                that its type never has; with the offset.
        """
        cpu: dict[int, Record] = {}
        xsave: dict[int, Record] = {}
        memory_types: dict[int, Record] = {}
        kinds: dict[int, dict[int, Record]] = {
            Typecode.CPU: cpu, Typecode.CPU_XSAVE: xsave, Typecode.MTRR: memory_types,
        }
        header: Optional[Record] = None
        for position, record in save_stream.walk(stream, {Typecode.HEADER, *kinds}):
            lengths = _LENGTHS.get(record.typecode)
            if lengths is not None and len(record.payload) not in lengths:
                raise FormatError(
                    f"save stream: the {record.name} record of instance {record.instance} at offset {position} has"
                    f" {len(record.payload)} bytes, not {lengths[0]}", offset=position,
                )
            if record.typecode != Typecode.HEADER:
                kinds[record.typecode][record.instance] = record
            elif position == 0:
                header = record
        if header is None:
            raise FormatError("a save stream begins with HEADER", offset=0)
        return cls(header, cpu, xsave, memory_types, release, vendor)

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
        return bytes(TSC_SIZE) if boot is None else boot.payload[_TSC.offset : _TSC.offset + _TSC.size]

    def record(self, vcpuid: int) -> Image:
        """The CPU record of an online vcpu."""
        return cpu_record.decode(self.cpu[vcpuid].payload)

    @property
    def kept(self) -> Tuple[Record, ...]:
        """What puts the online vcpus back as they are.

        Their CPU records; then their CPU_XSAVE records, since from 4.20 a CPU record alone
        drops AVX state; then the MTRR records that bring back a PAT of their own.
        """
        xsave = (self.xsave[vcpuid] for vcpuid in self.cpu if vcpuid in self.xsave)
        return (*self.cpu.values(), *xsave, *self.kept_mtrr.values())

    @property
    def own_pats(self) -> Mapping[int, int]:
        """The PAT of each online vcpu that has set one."""
        records = {vcpuid: self.mtrr[vcpuid] for vcpuid in self.cpu if vcpuid in self.mtrr}
        pats = {vcpuid: int.from_bytes(record.payload[_PAT], "little") for vcpuid, record in records.items()}
        return {vcpuid: pat for vcpuid, pat in pats.items() if pat != mtrr.PAT_RESET}

    @property
    def kept_mtrr(self) -> Mapping[int, Record]:
        """The MTRR records that bring `own_pats` back.

        On AMD with HAP every load of a CPU record resets the PAT (svm_vmcb_restore, all releases). Intel's code leaves
        it alone, and pays for an MTRR record with a recalculation of all memory types (memory_type_changed).
        """
        if self.vendor == INTEL:
            return {}
        return {vcpuid: self.mtrr[vcpuid]._replace(payload=self._loadable(vcpuid)) for vcpuid in self.own_pats}

    def _loadable(self, vcpuid: int) -> bytes:
        """An MTRR record that leaves the variable ranges as they are, where Xen has not saved them."""
        payload = self.mtrr[vcpuid].payload
        return payload if self.release not in mtrr.SAVES_RANGE_0 else mtrr.without_ranges(payload)

    def restoring_stream(self) -> bytes:
        """The stream that puts the online vcpus back, and every other vcpu down."""
        return save_stream.join((self.header, *self.kept, save_stream.END))


def with_tsc(payload: bytes, tsc: bytes) -> bytes:
    """A CPU record's payload with another `tsc`."""
    return payload[: _TSC.offset] + tsc + payload[_TSC.offset + _TSC.size :]
