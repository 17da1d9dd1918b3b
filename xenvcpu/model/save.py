# SPDX-License-Identifier: MIT
"""Writing a domain's save stream, whole or one record of it.

Source: hvm_save, hvm_save_size and hvm_save_one (arch/x86/hvm/save.c), Xen 4.11 and 4.17.
"""

from __future__ import annotations

import errno
import functools
import struct
from typing import Iterator, List, Optional, Tuple

from xenvcpu.abi import cpu_msr, cpu_record, mtrr, save_stream, xsave
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.model import extended
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import CHANGESET, CPUID_1_EAX, Hypervisor
from xenvcpu.model.records import Kind, kinds
from xenvcpu.model.vcpu import TSC_START, TSC_STOP, Vcpu
from xenvcpu.rules.release import Release, Since

_DESCRIPTOR_SIZE = save_stream.DESCRIPTOR_LAYOUT.size
_MSR_COUNTS = ((Since("4.18"), 10), (Since("4.17"), 9), (Since("4.13"), 8), (Since("4.12"), 6), (Since("4.7"), 3))
"""How many MSRs a CPU_MSR record can hold at most (msrs_to_send)."""
_TELLS_DOWN = Since("4.12")
_HAS_SIZE = Since("4.10")
_FLAGS = cpu_record.LAYOUT.fields["flags"].offset
_VALID = struct.pack("<I", cpu_record.FPU_INITIALISED)


def _msr_count(release: Release) -> int:
    return next(count for since, count in _MSR_COUNTS if release in since)


def _worst(kind: Kind, host: Hypervisor) -> int:
    if kind.length is not None:
        return kind.length
    if kind.typecode == Typecode.CPU_XSAVE:
        return xsave.AREA_OFFSET + extended.area_size(host.xfeature_mask)
    return cpu_msr.HEAD_LAYOUT.size + cpu_msr.ENTRY_LAYOUT.size * _msr_count(host.release)


def worst_size(host: Hypervisor, domain: Domain) -> int:
    """The bytes that a caller's buffer must have, whatever the stream really takes (hvm_save_size)."""
    size = 2 * _DESCRIPTOR_SIZE + save_stream.HEADER_LAYOUT.size
    for kind in kinds(host.release).values():
        count = len(domain.vcpus) if kind.is_per_vcpu else kind.instances
        size += count * (_DESCRIPTOR_SIZE + _worst(kind, host))
    return size


def cpu_payload(host: Hypervisor, domain: Domain, vcpu: Vcpu) -> bytes:
    """A vcpu's CPU record; its `tsc` is the guest's as of the domain's last full save or load."""
    state = vcpu.state
    if host.release in extended.ALWAYS_VALID and not extended.is_fpu_valid(state):
        state = extended.reset_image(host.release) + state[cpu_record.FPU_SIZE : _FLAGS] + _VALID + state[_FLAGS + 4 :]
    return state[:TSC_START] + vcpu.tsc_at(domain.sync_tsc).to_bytes(8, "little") + state[TSC_STOP:]


@functools.lru_cache(maxsize=256)  # the vcpus of a domain mostly have the same one
def _mtrr_payload(payload: bytes, release: Release) -> bytes:
    """The record as Xen saves it: since 4.12 with the first variable range in place of all."""
    if release not in mtrr.SAVES_RANGE_0:
        return payload
    image = mtrr.LAYOUT.unpack(payload)
    saved = mtrr.VARIABLE[: 2 * (image["msr_mtrr_cap"] & 0xFF)]
    return image.with_values(**{name: image[mtrr.VARIABLE[n % 2]] for n, name in enumerate(saved)}).pack()


def _vcpu_payload(host: Hypervisor, domain: Domain, vcpu: Vcpu, typecode: int) -> Optional[bytes]:
    if typecode == Typecode.CPU:
        return None if vcpu.is_down else cpu_payload(host, domain, vcpu)
    if typecode == Typecode.CPU_XSAVE:
        return vcpu.xsave
    payload = vcpu.records.get(typecode)
    if typecode == Typecode.MTRR and payload is not None:
        return _mtrr_payload(payload, host.release)
    return payload


def _of_type(host: Hypervisor, domain: Domain, kind: Kind) -> Iterator[Record]:
    if kind.is_per_vcpu:
        for vcpu in domain.vcpus:
            payload = _vcpu_payload(host, domain, vcpu, kind.typecode)
            if payload is not None:
                yield Record(kind.typecode, vcpu.vcpuid, payload)
    else:
        for instance in range(kind.instances):
            payload = domain.records.get((kind.typecode, instance))
            if payload is not None:
                yield Record(kind.typecode, instance, payload)


def save(host: Hypervisor, domain: Domain) -> bytes:
    """The domain's whole save stream, from HEADER to END.

    A vcpu that is down has no CPU record in it, but its other ones.

    Raises:
        Refused: EINVAL, the domain is dying.
    """
    if domain.is_dying:
        raise Refused(errno.EINVAL)
    domain.sync_tsc = host.clock.tsc
    records: List[Record] = [save_stream.header(CHANGESET, CPUID_1_EAX[host.vendor], domain.tsc_khz)]
    for kind in kinds(host.release).values():
        records.extend(_of_type(host, domain, kind))
    records.append(save_stream.END)
    return save_stream.join(records)


def save_one(host: Hypervisor, domain: Domain, typecode: int, instance: int, size: Optional[int]) -> Tuple[bytes, int]:
    """The payload of one record; `tsc` is not brought up to date.

    Args:
        host: The host.
        domain: The domain.
        typecode: Which type.
        instance: Which vcpu, for a type that is per vcpu.
        size: The bytes of the caller's buffer; None to ask only for the length.

    Returns:
        The payload (empty if only asked), and its length.

    Raises:
        Refused: EINVAL for the type, ENOENT or ENODATA, ENOBUFS.
    """
    kind = kinds(host.release).get(typecode)
    if domain.is_dying or kind is None:
        raise Refused(errno.EINVAL)
    if kind.is_per_vcpu and domain.vcpu(instance) is None:
        raise Refused(errno.ENOENT)
    payload = next((record.payload for record in _of_type(host, domain, kind) if record.instance == instance), None)
    if payload is None:
        raise Refused(errno.ENODATA if kind.is_per_vcpu and host.release in _TELLS_DOWN else errno.ENOENT)
    if size is None and host.release in _HAS_SIZE:
        return b"", len(payload)
    # Before 4.10 Xen is not told the size and writes the record whole.
    if size is not None and size < len(payload) and host.release in _HAS_SIZE:
        raise Refused(errno.ENOBUFS)
    return payload, len(payload)
