# SPDX-License-Identifier: MIT
"""What is run on bytes of C structs: they decode and come back the same, or are refused."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Iterable, Tuple

from integration.lab import elf
from xenvcpu.abi import cpu_msr, cpu_record, domain_info, guest_context, mtrr, save_stream, vcpu_info, xsave
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.cli.judging import Question, as_dict, verdicts
from xenvcpu.contextfile import FORMATS, as_mapping, from_mapping, stream
from xenvcpu.contextfile.source import Source
from xenvcpu.encoding import as_context, to_cpu_record
from xenvcpu.errors import ContextError
from xenvcpu.model import load, save, worlds
from xenvcpu.model.answer import HostDown, Refused
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.savedstate import SavedState
from xenvcpu.vcpustate import mode_name


def _release(data: bytes) -> Tuple[Release, bytes]:
    """The first byte chooses the release."""
    return (KNOWN[data[0] % len(KNOWN)], data[1:]) if data else (KNOWN[-1], b"")


def run_save_stream(data: bytes) -> None:
    """The records come back, from bytes and from the file that people read."""
    found = save_stream.split(data)
    assert save_stream.join(found.records) + found.trailing == data
    assert tuple(record for _, record in save_stream.walk(data)) == found.records
    assert stream.to_bytes(Source("", stream.as_mapping(found))) == data


def run_saved_state(data: bytes) -> None:
    """All that a start asks of a capture, and the stream that puts it back."""
    release, data = _release(data)
    state = SavedState.parse(data, release)
    assert len(state.tsc) == 8 and state.kept_mtrr is not None
    assert {vcpuid: mode_name(state.record(vcpuid)) for vcpuid in state.online}.keys() == state.cpu.keys()
    again = SavedState.parse(state.restoring_stream(), release)
    assert (again.header, again.cpu, again.own_pats) == (state.header, state.cpu, state.own_pats)


def _run_struct(name: str, data: bytes) -> None:
    form = FORMATS[name]
    image = form.decode(data)
    assert image.pack() == data
    assert from_mapping(as_mapping(image)).render(0) == image
    release = KNOWN[data[0] % len(KNOWN)]
    json.dumps(as_dict(verdicts(image, Question(None, (release,), Features(), 1))[1]))
    # LMA without paging is gone in the record, which then is a 32B one: what a context has may not fit it.
    with suppress(ContextError):
        record = to_cpu_record(as_context(image), release)
        assert record.pack() == to_cpu_record(as_context(record), release).pack()


def run_cpu_record(data: bytes) -> None:
    """A CPU record: as a file, as a context, and judged."""
    _run_struct("cpu_record", data)


def run_vcpu_hvm_context(data: bytes) -> None:
    """`struct vcpu_hvm_context`: the same."""
    _run_struct("vcpu_hvm_context", data)


def run_draft2015(data: bytes) -> None:
    """The struct of the 2015 draft: the same."""
    _run_struct("draft2015", data)


def run_cpu_msr(data: bytes) -> None:
    """A CPU_MSR record; its padding may hold anything."""
    assert cpu_msr.encode(cpu_msr.decode(data))[8:] == data[8:]


def run_xsave(data: bytes) -> None:
    """A CPU_XSAVE record, and the same bytes as an MTRR record."""
    image = xsave.decode(data)
    assert image.pack() == data
    assert all(xsave.components(image[name]) or not image[name] for name in ("xcr0", xsave.XSTATE_BV))
    types = data[: mtrr.LAYOUT.size]
    assert mtrr.LAYOUT.unpack(types).pack() == types


def run_information(data: bytes) -> None:
    """What Xen says about domains and vcpus."""
    release, data = _release(data)
    info = domain_info.decode(data, release)
    assert domain_info.decode(domain_info.encode(info, release), release) == info and info.vcpu_count >= 0
    for layout in (vcpu_info.LAYOUT, vcpu_info.RUNSTATE_LAYOUT):
        assert layout.unpack(data[: layout.size]).pack() == data[: layout.size]
    context = data.ljust(guest_context.SIZE, b"\0")[: guest_context.SIZE]
    assert guest_context.decode(context).pack() == context


def run_elf(data: bytes) -> None:
    """The libraries that an ELF file asks for are names of files in a folder."""
    assert not any("/" in name or name in ("", ".", "..") for name in elf.needed(data))


def run_model_load(data: bytes) -> None:
    """The model answers any stream with an errno, or as a Xen that faults; what it then saves is a whole stream."""
    release, data = _release(data)
    host = worlds.pvh(str(release))
    domain = host.named("web")
    try:
        load.load(host, domain, data)
    except Refused as refusal:
        assert refusal.errno > 0
    except HostDown:
        return
    SavedState.parse(save.save(host, domain), release)


def saves() -> Iterable[bytes]:
    """Whole saves of two domains, one with and one without XSAVE; and records that nobody knows."""
    for release, name in (("4.17", "pvh"), ("4.20", "lab")):
        host = worlds.builtin(name, release)
        host_domain = next(domain for domain in host.domains.values() if not domain.is_privileged)
        yield save.save(host, host_domain)
    yield save_stream.join([save_stream.header(), Record(99, 7, b"payload"), END]) + b"trailing"
    yield save_stream.join([
        save_stream.header(cpuid=0x663), Record(Typecode.CPU_MSR, 1, cpu_msr.encode([(0x48, 1)])),
        Record(Typecode.MTRR, 0, mtrr.LAYOUT.image({"msr_pat_cr": 1, mtrr.VARIABLE[3]: 5}).pack()), END,
    ])


def saves_by_release() -> Iterable[bytes]:
    """A save behind the byte that chooses its release."""
    for number in (0, 5, 10, 13, 15):
        for found in saves():
            yield bytes([number]) + found


def structs(name: str) -> Iterable[bytes]:
    """Every preset that a struct can carry, and a struct in which every byte is another."""
    from xenvcpu.context.presets import PRESETS

    form = FORMATS[name]
    for preset in PRESETS.values():
        try:
            yield form.from_context(preset()).pack()
        except ContextError:
            continue
    for size in form.sizes:
        for mode in (*form.modes, 9):
            yield mode.to_bytes(4, "little") + bytes(n % 251 for n in range(size - 4))
    if name == "cpu_record":
        yield cpu_record.LAYOUT.image({"pending_event": 0x80000B0E, "dr7": 0x400}).pack()


def elves() -> Iterable[bytes]:
    """A file with two names, and one that is cut off."""
    start = b"\x7fELF\x02" + bytes(27) + struct.pack("<Q", 64) + bytes(16) + struct.pack("<H", 2) + bytes(6)
    load = struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0x300, 0, 0)
    dynamic = struct.pack("<IIQQQQQQ", 2, 0, 0xB0, 0xB0, 0, 0x40, 0, 0)
    section = struct.pack("<8Q", 5, 0xF0, 1, 1, 1, 11, 0, 0)
    whole = start + load + dynamic + section + b"\0libm.so.6\0libc.so.6\0"
    return whole, whole[:0xC0]


def infos() -> Iterable[bytes]:
    """A running and a crashed domain of three releases."""
    for number in (0, 1, 15):
        release = KNOWN[number]
        for info in (
            domain_info.DomainInfo(1, is_hvm=True, max_vcpu_id=3, nr_online_vcpus=1),
            domain_info.DomainInfo(7, is_shutdown=True, is_dying=True, shutdown_reason=3, other_flags=0x8000),
        ):
            yield bytes([number]) + domain_info.encode(info, release)
