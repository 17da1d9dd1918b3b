# SPDX-License-Identifier: MIT
"""Loading a save stream into a domain.

Source: hvm_load (arch/x86/hvm/save.c), Xen 4.7, 4.12, 4.17 and 4.20. Nothing is rolled back:
a load that fails part way leaves every vcpu down that it had not reached.
"""

from __future__ import annotations

import errno
import struct
from typing import Callable, Iterator, Optional, Tuple

from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.model import handlers
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.records import Kind, kinds
from xenvcpu.rules.release import Since

_TELLS_WHY = Since("4.13.4", "4.14.3", "4.15.1", "4.16")
"""Before, every failure of a load reads EPERM."""
_CHECKS_FIRST = Since("4.19")
_DESCRIPTOR = struct.Struct("<HHI")


class _Reader:
    """Goes through a stream as Xen does, answering with Xen's errno and console lines."""

    def __init__(self, host: Hypervisor, domain: Domain, stream: bytes) -> None:
        self.host = host
        self.domain = domain
        self.stream = stream

    def header(self) -> Tuple[int, int]:
        """Check the HEADER.

        Returns:
            Where the next record starts, and the TSC frequency.

        Raises:
            Refused: ENODATA or EINVAL.
        """
        layout = save_stream.HEADER_LAYOUT
        start = _DESCRIPTOR.size
        if len(self.stream) < start + layout.size:
            raise Refused(errno.ENODATA)
        typecode, _, length = _DESCRIPTOR.unpack_from(self.stream)
        if typecode != Typecode.HEADER or length != layout.size:
            raise Refused(errno.ENODATA)
        header = layout.unpack(self.stream[start : start + length])
        if header["magic"] != save_stream.MAGIC:
            self.print(f"HVM{self.domain.domid} restore: bad magic number {header['magic']:#x}")
            raise Refused(errno.EINVAL)
        if header["version"] != save_stream.VERSION:
            self.print(f"HVM{self.domain.domid} restore: unsupported version {header['version']}")
            raise Refused(errno.EINVAL)
        # Another processor's CPUID is only worth a line of level "info", which the console does not show.
        return start + length, header["gtsc_khz"]

    def print(self, line: str) -> None:
        self.host.console.print(line)

    def records(self, position: int) -> Iterator[Tuple[Kind, Optional[Record], int]]:
        """The records before END, each with its instance; None for one that overruns the stream.

        Raises:
            Refused: ENODATA if there is no END, EINVAL for an unknown type.
        """
        known, size = kinds(self.host.release), len(self.stream)
        while True:
            if size - position < _DESCRIPTOR.size:
                self.print(f"HVM{self.domain.domid} restore: save did not end with a null entry")
                raise Refused(errno.ENODATA)
            typecode, instance, length = _DESCRIPTOR.unpack_from(self.stream, position)
            if typecode == Typecode.END:
                return
            kind = known.get(typecode)
            if kind is None:
                self.print(f"HVM{self.domain.domid} restore: unknown entry typecode {typecode}")
                raise Refused(errno.EINVAL)
            start = position + _DESCRIPTOR.size
            position = start + length
            payload = self.stream[start:position]
            yield kind, Record(typecode, instance, payload) if len(payload) == length else None, instance

    def each(self, position: int, verb: str, handle: Callable[[Kind, Optional[Record]], None]) -> None:
        """Do something with every record; the first that is refused ends it, with Xen's line."""
        for kind, record, instance in self.records(position):
            try:
                handle(kind, record)
            except Refused as refusal:
                self._failed(verb, kind, instance, refusal.errno)
                raise

    def _failed(self, verb: str, kind: Kind, instance: int, number: int) -> None:
        release, domid = self.host.release, self.domain.domid
        if release in _CHECKS_FIRST:
            self.print(f"HVM restore d{domid}: failed to {verb} {kind.typecode.name}:{instance} rc {-number}")
            return
        code = f" rc {-number}" if release in _TELLS_WHY else ""
        self.print(f"HVM{domid} restore: failed to load entry {int(kind.typecode)}/{instance}{code}")


def _check(domain: Domain, kind: Kind, record: Optional[Record]) -> None:
    if record is None:
        raise Refused(errno.ENODATA)
    if kind.is_checked:
        handlers.check_record(domain, kind, record)


def _load(host: Hypervisor, domain: Domain, kind: Kind, record: Optional[Record]) -> None:
    if record is None:
        raise Refused(errno.ENODATA if kind.length is None else errno.EINVAL)
    handlers.load_record(host, domain, kind, record)


def _load_stream(host: Hypervisor, domain: Domain, stream: bytes) -> None:
    if domain.is_dying:
        raise Refused(errno.EINVAL)
    reader = _Reader(host, domain, stream)
    position, tsc_khz = reader.header()
    if host.release in _CHECKS_FIRST:
        reader.each(position, "check", lambda kind, record: _check(domain, kind, record))
    for vcpu in domain.vcpus:
        vcpu.is_down = True
    domain.tsc_khz = tsc_khz or domain.tsc_khz
    domain.sync_tsc = host.clock.tsc
    reader.each(position, "load", lambda kind, record: _load(host, domain, kind, record))


def load(host: Hypervisor, domain: Domain, stream: bytes) -> None:
    """Load a save stream. Every vcpu goes down first; those with a CPU record come back.

    Raises:
        Refused: With what this release answers; before 4.13.4 EPERM for a bad stream.
    """
    try:
        _load_stream(host, domain, stream)
    except Refused:
        if domain.is_dying or host.release in _TELLS_WHY:
            raise
        raise Refused(errno.EPERM) from None
