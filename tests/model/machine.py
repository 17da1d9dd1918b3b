# SPDX-License-Identifier: MIT
"""What the model's tests have in common: a host, its domctls and hypercalls, and contexts for them."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import Any, Iterator, Tuple

import pytest

from xenvcpu import encoding
from xenvcpu.abi import save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.context.presets import flat32, long64
from xenvcpu.model import build, vcpuop, worlds
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.domctl import Caller, Domctl
from xenvcpu.model.hypervisor import Hypervisor

HEADER = save_stream.header()
END = save_stream.END


class Memory:
    """A hypercall's argument."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    @property
    def is_null(self) -> bool:
        return not self.data

    def read(self, size: int) -> bytes:
        if len(self.data) < size:
            raise Refused(errno.EFAULT)
        return self.data[:size]

    def write(self, data: bytes) -> None:
        if len(self.data) < len(data):
            raise Refused(errno.EFAULT)
        self.data = data + self.data[len(data) :]


class Machine:
    """A host with one guest, and both interfaces to it."""

    def __init__(self, release: str = "4.17", vcpus: int = 4, online: int = 1, **more: Any) -> None:
        host = worlds.new(release, ())
        for name in ("vendor", "xfeature_mask"):
            setattr(host, name, more.pop(name, getattr(host, name)))
        self.host: Hypervisor = host
        self.domain: Domain = build.add_domain(host, "guest", vcpus, online=online, **more)
        self.domctl = Domctl(host, Caller(0))

    def op(self, op: int, vcpuid: int, data: bytes = b"", caller: int = 0) -> int:
        """A VCPUOP of the guest."""
        return vcpuop.vcpu_op(self.host, self.domain, op, vcpuid, Memory(data), caller)

    def initialise(self, vcpuid: int, image: Image) -> int:
        return self.op(vcpuop.Op.initialise, vcpuid, image.pack())

    def save(self) -> Tuple[Record, ...]:
        stream, _ = self.domctl.gethvmcontext(self.domain.domid, 1 << 24)
        return save_stream.split(stream).records

    def saved(self, typecode: int) -> dict[int, bytes]:
        """The payloads of one type in a full save, by instance."""
        return {record.instance: record.payload for record in self.save() if record.typecode == typecode}

    def load(self, *records: Record) -> None:
        """Load HEADER, these records, END."""
        self.domctl.sethvmcontext(self.domain.domid, save_stream.join((HEADER, *records, END)))

    def load_bytes(self, stream: bytes) -> None:
        self.domctl.sethvmcontext(self.domain.domid, stream)

    def online(self) -> list[int]:
        return [vcpu.vcpuid for vcpu in self.domain.online]

    @property
    def last_line(self) -> str:
        return self.host.console.lines[-1]


@contextmanager
def refused(name: str) -> Iterator[None]:
    """Xen must answer with the errno of this name."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.errno == getattr(errno, name)


def context(entry: int = 0x100000) -> Image:
    """A flat 32-bit start for VCPUOP_initialise."""
    return encoding.to_vcpu_hvm_context(flat32(entry))


def context_64(entry: int = 0x100000) -> Image:
    """A 64-bit start for VCPUOP_initialise."""
    return encoding.to_vcpu_hvm_context(long64(entry, 0x8000, 0x2000))


def cpu_image(entry: int = 0x100000, **changes: int) -> Image:
    """A flat 32-bit start as a CPU record."""
    return encoding.to_cpu_record(flat32(entry)).with_values(**changes)


def cpu(vcpuid: int, entry: int = 0x100000, **changes: int) -> Record:
    """A flat 32-bit start as a save record."""
    return Record(Typecode.CPU, vcpuid, cpu_image(entry, **changes).pack())
