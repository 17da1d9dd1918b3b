# SPDX-License-Identifier: MIT
"""What a load does with each type of save record.

Source: the handlers registered with HVM_REGISTER_SAVE_RESTORE: hvm_load_cpu_ctxt and its
neighbours (arch/x86/hvm/hvm.c), mtrr.c, vlapic.c, cpu/mcheck/vmce.c; Xen 4.11, 4.17, 4.20.
"""

from __future__ import annotations

import errno
import struct
from typing import Callable, Mapping

from xenvcpu.abi import cpu_msr, cpu_record, mtrr
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import FormatError
from xenvcpu.model import extended, judge, paging
from xenvcpu.model.answer import HostDown, Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.records import Kind
from xenvcpu.model.vcpu import TSC_START, TSC_STOP, Vcpu, without_tsc
from xenvcpu.rules import cpu_msr as msr_rules
from xenvcpu.rules.features import Features
from xenvcpu.rules import effect
from xenvcpu.rules.cpu_record import PENDING_VALID
from xenvcpu.rules.release import Release

_BEFORE_TSC_AUX = 1016
_TSC_AUX = cpu_record.LAYOUT.fields["msr_tsc_aux"].offset
_MTRR_CAP = mtrr.LAYOUT.fields["msr_mtrr_cap"].offset
_MTRR_COUNT = len(mtrr.VARIABLE) // 2
_PAT_RESET = mtrr.PAT_RESET.to_bytes(8, "little")


def _padded(kind: Kind, payload: bytes) -> bytes:
    """The payload at full length.

    Raises:
        Refused: EINVAL, it is too long, or too short for a type that is not filled up.
    """
    if kind.length is None or len(payload) == kind.length:
        return payload
    if len(payload) > kind.length or not kind.is_extended:
        raise Refused(errno.EINVAL)
    return payload.ljust(kind.length, b"\0")


def _whole_cpu_record(payload: bytes) -> bytes:
    """A CPU record of an older Xen as this one takes it (_hvm_hw_fix_cpu): its FPU image counts as valid."""
    if len(payload) == cpu_record.SIZE:
        return payload
    if len(payload) == _BEFORE_TSC_AUX:
        payload = payload[:_TSC_AUX] + bytes(8) + payload[_TSC_AUX:]
    body = payload.ljust(cpu_record.LAYOUT_46.size, b"\0")[: cpu_record.LAYOUT_46.size]
    return body + struct.pack("<II", cpu_record.FPU_INITIALISED, 0)


def _as_loaded(record: Image, release: Release) -> bytes:
    """The state that a load of an accepted CPU record leaves in a vcpu."""
    changes = {"msr_flags": 0, "tsc": 0}
    if not record["pending_event"] & PENDING_VALID:
        changes.update(pending_event=0, error_code=0)
    return effect.after_load(record, release).with_values(**changes).pack()


def _require_vcpu(domain: Domain, instance: int) -> Vcpu:
    vcpu = domain.vcpu(instance)
    if vcpu is None:
        raise Refused(errno.EINVAL)
    return vcpu


def _judge(host: Hypervisor, domain: Domain, vcpu: Vcpu, record: Image) -> None:
    refusals = judge.refusals_of_load(host, domain, vcpu, record)
    if not refusals:
        if paging.is_cr3_refused(domain, record):
            host.crash(domain)
            raise Refused(errno.EINVAL)
        if paging.crashes(host, domain, record):
            host.crash(domain)
        return
    first = refusals[0]
    for line in judge.lines_of_load(first, domain.domid, vcpu.vcpuid):
        host.console.print(line)
    if first.rule in judge.VENDOR_RULES:
        host.crash(domain)
    raise Refused.by_name(first.errno or "EINVAL")


def load_cpu(host: Hypervisor, domain: Domain, vcpu: Vcpu, payload: bytes) -> None:
    """Load a CPU record: the vcpu is initialised and up afterwards.

    Raises:
        Refused: EINVAL. A bad event to inject crashes the domain besides.
    """
    payload = _whole_cpu_record(payload)
    state = without_tsc(payload)
    # What a save gave out comes back as it was: for the vcpus that are only carried along.
    if (state, domain.features) != vcpu.accepted:
        record = cpu_record.decode(payload)
        _judge(host, domain, vcpu, record)
        judge.survive(host, domain, effect.after_load(record, host.release))
        state = _as_loaded(record, host.release)
        vcpu.accepted = state, domain.features
    vcpu.xsave = extended.after_cpu_record(vcpu, state, host.release)
    vcpu.state = state
    if host.vendor == "amd" and domain.is_hap:
        # svm_vmcb_restore, in every release: a migration repairs it with the MTRR record that follows.
        vcpu.records[Typecode.MTRR] = _PAT_RESET + vcpu.records[Typecode.MTRR][len(_PAT_RESET) :]
    vcpu.set_tsc(int.from_bytes(payload[TSC_START:TSC_STOP], "little"), domain.sync_tsc)
    vcpu.is_initialised = True
    vcpu.is_down = False
    is_waiting = any(vcpu.vcpuid in each.waiting for each in domain.ioreq_servers.values())
    if is_waiting and host.release in effect.CANCELS_ACCESS:
        domain.cut_off.append(vcpu.vcpuid)


def _load_xsave(host: Hypervisor, domain: Domain, vcpu: Vcpu, payload: bytes) -> None:
    extended.load_xsave(vcpu, payload, host.xfeature_mask)


def _load_msrs(host: Hypervisor, domain: Domain, vcpu: Vcpu, payload: bytes) -> None:
    if len(payload) < cpu_msr.HEAD_LAYOUT.size + cpu_msr.ENTRY_LAYOUT.size:
        raise Refused(errno.EINVAL)
    try:
        pairs = cpu_msr.decode(payload)
    except FormatError:
        raise Refused(errno.EOPNOTSUPP) from None
    held = dict(cpu_msr.decode(vcpu.records.get(Typecode.CPU_MSR, cpu_msr.encode(()))))
    for index, value in pairs:
        for finding in msr_rules.refusals([(index, value)], host.release, Features(vendor=host.vendor)):
            raise Refused.by_name(finding.errno or "ENXIO")
        for finding in msr_rules.dangers([(index, value)], host.release) if host.vendor == "intel" else ():
            raise HostDown(f"Xen faults on {finding.field} = {value:#x} [{finding.rule}]")
        held[index] = value
        _store_msrs(vcpu, held)


def _store_msrs(vcpu: Vcpu, held: Mapping[int, int]) -> None:
    """Keep what is not zero, in the order of a save; without any there is no record."""
    pairs = [(index, held[index]) for index in msr_rules.ACCEPTED if held.get(index)]
    vcpu.records.pop(Typecode.CPU_MSR, None)
    if pairs:
        vcpu.records[Typecode.CPU_MSR] = cpu_msr.encode(pairs)


def _load_mtrr(host: Hypervisor, domain: Domain, vcpu: Vcpu, payload: bytes) -> None:
    if payload[_MTRR_CAP] > _MTRR_COUNT:
        raise Refused(errno.EINVAL)
    before, given = mtrr.LAYOUT.unpack(vcpu.records[Typecode.MTRR]), mtrr.LAYOUT.unpack(payload)
    refused = (name for name in mtrr.VARIABLE if given[name] & 0xFF not in mtrr.TYPES)
    vcpu.records[Typecode.MTRR] = given.with_values(**{name: before[name] for name in refused}).pack()


def _require_lapic_mode(payload: bytes) -> None:
    """x2APIC mode (bit 10 of the base MSR) without the APIC enabled (bit 11) is refused."""
    if payload[1] >> 2 & 0b11 == 0b01:
        raise Refused(errno.EINVAL)


def _load_lapic(host: Hypervisor, domain: Domain, vcpu: Vcpu, payload: bytes) -> None:
    _require_lapic_mode(payload)
    vcpu.records[Typecode.LAPIC] = payload


_Handler = Callable[[Hypervisor, Domain, Vcpu, bytes], None]
_HANDLERS: Mapping[int, _Handler] = {
    Typecode.CPU: load_cpu, Typecode.CPU_XSAVE: _load_xsave, Typecode.CPU_MSR: _load_msrs, Typecode.MTRR: _load_mtrr,
    Typecode.LAPIC: _load_lapic,
}
_LAPIC = frozenset((Typecode.LAPIC, Typecode.LAPIC_REGS))
_EVERYWHERE = frozenset((Typecode.PCI_IRQ, Typecode.ISA_IRQ, Typecode.PCI_LINK, Typecode.VIRIDIAN_DOMAIN))


def _require_device(domain: Domain, kind: Kind, instance: int) -> None:
    if kind.typecode in _LAPIC and not domain.has_lapic:
        raise Refused(errno.ENODEV)
    if not kind.is_per_vcpu and kind.typecode not in _EVERYWHERE:
        if not any(typecode == kind.typecode for typecode, _ in domain.records):
            raise Refused(errno.ENODEV)
    if not kind.is_per_vcpu and instance >= kind.instances > 1:
        raise Refused(errno.EINVAL)


def load_record(host: Hypervisor, domain: Domain, kind: Kind, record: Record) -> None:
    """Load one record.

    Raises:
        Refused: With what the type's handler answers.
    """
    _require_device(domain, kind, record.instance)
    if not kind.is_per_vcpu:
        payload = _padded(kind, record.payload)
        if (kind.typecode, record.instance) in domain.records:
            domain.records[kind.typecode, record.instance] = payload
        return
    vcpu = _require_vcpu(domain, record.instance)
    if kind.typecode == Typecode.CPU:
        if len(record.payload) > cpu_record.SIZE:
            raise Refused(errno.EINVAL)
        load_cpu(host, domain, vcpu, record.payload)
        return
    payload = _padded(kind, record.payload)
    handler = _HANDLERS.get(kind.typecode)
    if handler is not None:
        handler(host, domain, vcpu, payload)
    else:
        vcpu.records[kind.typecode] = payload


def check_record(domain: Domain, kind: Kind, record: Record) -> None:
    """What the check pass of 4.19 and later looks at in a type that has a check.

    Raises:
        Refused: With what the check answers.
    """
    _require_device(domain, kind, record.instance)
    if kind.is_per_vcpu:
        _require_vcpu(domain, record.instance)
    try:
        payload = _padded(kind, record.payload)
    except Refused:
        raise Refused(errno.ENODATA) from None
    if kind.typecode == Typecode.LAPIC:
        _require_lapic_mode(payload)
