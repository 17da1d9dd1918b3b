# SPDX-License-Identifier: MIT
"""What is wrong in Xen and its tools, shown: each test asserts it, and fails once it is put right.

`docs/upstream/` has a page on each, which names its test.
"""

from __future__ import annotations

import errno
import re
import signal
import struct
import subprocess
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping

import pytest

from integration.evidence import host as machine
from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.guest import layout
from integration.limits import run
from xenvcpu import encoding
from xenvcpu.abi import cpu_record, mtrr, save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.api import Host, flat32, long64, open_host
from xenvcpu.errors import HypercallError
from xenvcpu.rules.release import Since

Factory = Callable[..., TinyGuest]
VCPU_OP, INITIALISE, UP = 24, 0, 1
RANGES = (0xE0000000, 0xFFF0000800, 0xD0000000, 0xFFE0000800)
"""Base and mask of two variable ranges of MTRRs."""
PAT = 0x0407050600070106
SEES_RANGE_1 = 0x202
MARK = 0x580000
SEGFAULT = (-signal.SIGSEGV, 128 + signal.SIGSEGV)
"""Of a program itself, and through the shell script that Debian puts before it."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


def tool(name: str) -> str:
    """The path of one of Xen's own tools."""
    found = sorted(Path("/usr/lib").glob(f"xen-*/bin/{name}")) or sorted(Path("/usr/sbin").glob(name))
    if not found:
        pytest.skip(f"{name} is not in this dom0")
    return str(found[-1])


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return run(command, 60)


def cpu_records(host: Host, guest: TinyGuest) -> Dict[int, Record]:
    return by_vcpu(host, guest, Typecode.CPU)


def by_vcpu(host: Host, guest: TinyGuest, typecode: Typecode) -> Dict[int, Record]:
    stream = host.dom0.read_context(guest.domid, host.dom0.context_buffer(guest.domid))
    return save_stream.by_vcpu(save_stream.split(stream).records, typecode)


def load(host: Host, guest: TinyGuest, *records: Record) -> None:
    host.dom0.load_context(guest.domid, save_stream.join((save_stream.header(), *records, save_stream.END)))


def record_of(vcpuid: int, entry: int, **changes: int) -> Record:
    image = encoding.to_cpu_record(flat32(entry, 0x500000)).with_values(**changes)
    return Record(Typecode.CPU, vcpuid, image.pack())


def with_mtrr(host: Host, guest: TinyGuest, vcpuid: int, changes: Mapping[str, int]) -> Record:
    old = by_vcpu(host, guest, Typecode.MTRR)[vcpuid].payload
    return Record(Typecode.MTRR, vcpuid, mtrr.LAYOUT.unpack(old).with_values(**changes).pack())


def demand_release(host: Host, since: str) -> None:
    if host.dom0.release not in Since(since):
        pytest.skip(f"Xen {host.dom0.release} is older than {since}, which brought it")


def test_xen_hvmctx_shows_ds_as_es_and_es_as_ds(host: Host, tiny_guest: Factory) -> None:
    """The boot vcpu gets two selectors that differ; the tool prints each beside the other's name."""
    demand_release(host, "4.12")
    program, guest = tool("xen-hvmctx"), tiny_guest()
    host.dom0.pause(guest.domid)
    image = cpu_record.decode(cpu_records(host, guest)[0].payload).with_values(ds_sel=0x18, es_sel=0x20)
    load(host, guest, Record(Typecode.CPU, 0, image.pack()))
    now = cpu_record.decode(cpu_records(host, guest)[0].payload)
    assert (now["ds_sel"], now["es_sel"]) == (0x18, 0x20)
    shown = dict(re.findall(r"^ +(cs|ds|es) +((?:0x)?[0-9a-f]+) \(", ran(program, str(guest.domid)).stdout, re.M))
    assert {name: int(value, 16) for name, value in shown.items()} == {"cs": now["cs_sel"], "ds": 0x20, "es": 0x18}


def test_xenctx_knows_no_number_of_stack_pages(tiny_guest: Factory) -> None:
    """`-n 1` works; the long form of it is refused with a number, and crashes without."""
    program, guest = tool("xenctx"), tiny_guest()
    assert "eip" in ran(program, "-n", "1", str(guest.domid)).stdout
    refused = ran(program, "--display-stack-pages=1", str(guest.domid))
    assert refused.returncode == 255 and "doesn't allow an argument" in refused.stderr
    assert ran(program, "--display-stack-pages", "1", str(guest.domid)).returncode in SEGFAULT


def test_xenctx_shows_nothing_of_a_vcpu_that_is_initialised_and_down_and_succeeds(tiny_guest: Factory) -> None:
    """What VCPUOP_initialise gave a vcpu cannot be seen before it runs; the exit code is 0."""
    program, guest = tool("xenctx"), tiny_guest()
    context = encoding.to_vcpu_hvm_context(flat32(layout.PARK, 0x500000)).pack()
    assert guest.vcpu_op(INITIALISE, 1, context) == 0
    shown = ran(program, str(guest.domid), "1")
    assert (shown.returncode, shown.stdout.strip()) == (0, "")
    assert "getcontext_partial" in shown.stderr


def test_xl_set_parameters_crashes_without_an_equals_sign(host: Host) -> None:
    """A parameter without a value ends xl with SIGSEGV."""
    demand_release(host, "4.14")
    assert ran("xl", "set-parameters", "guest_loglvl").returncode in SEGFAULT


def test_xl_unpause_succeeds_when_it_failed(host: Host, tiny_guest: Factory) -> None:
    """A domain that nobody has paused cannot be unpaused: Xen says EINVAL, and the exit code is 0."""
    guest = tiny_guest()
    with pytest.raises(HypercallError) as refused:
        host.dom0.unpause(guest.domid)
    assert refused.value.errno == errno.EINVAL
    told = ran("xl", "unpause", str(guest.domid))
    assert told.returncode == 0 and "Invalid argument" in told.stderr


def _reads_msr(guest: TinyGuest, msr: int) -> int:
    """Writes code that reads an MSR, stores it at MARK and spins; returns where it begins."""
    entry = layout.STUBS
    store = b"\xa3" + struct.pack("<I", MARK) + b"\x89\x15" + struct.pack("<I", MARK + 4)
    code = b"\xb9" + struct.pack("<I", msr) + b"\x0f\x32" + store
    code += b"\xc7\x05" + struct.pack("<II", MARK + 8, 1) + b"\xeb\xfe"
    guest.write(MARK, bytes(16))
    guest.write(entry, code)
    return entry


def test_a_save_gives_every_mtrr_range_the_values_of_the_first(host: Host, tiny_guest: Factory) -> None:
    """The vcpu itself reads its second range as it was loaded; the save that follows has the first one there."""
    demand_release(host, "4.12")
    guest = tiny_guest(vcpus=2)
    entry = _reads_msr(guest, SEES_RANGE_1)
    host.dom0.pause(guest.domid)
    ranges = with_mtrr(host, guest, 1, dict(zip(mtrr.VARIABLE, RANGES)))
    load(host, guest, cpu_records(host, guest)[0], record_of(1, entry), ranges)
    host.dom0.unpause(guest.domid)
    await_true(lambda: guest.read(MARK + 8, 1) == b"\1", "the vcpu did not read its MTRR", 60)
    assert struct.unpack("<Q", guest.read(MARK, 8)) == (RANGES[2],)
    saved = mtrr.LAYOUT.unpack(by_vcpu(host, guest, Typecode.MTRR)[1].payload)
    assert [saved[name] for name in mtrr.VARIABLE] == list(RANGES[:2]) * 8


def test_a_cpu_record_resets_the_pat_on_svm(host: Host, tiny_guest: Factory) -> None:
    """The PAT that a vcpu has is that of a reset processor after its own CPU record was loaded again."""
    if not machine.is_amd():
        pytest.skip("this host has VT-x, whose code leaves the PAT alone")
    guest = tiny_guest()
    host.dom0.pause(guest.domid)
    own = cpu_records(host, guest)[0]
    load(host, guest, own, with_mtrr(host, guest, 0, {"msr_pat_cr": PAT}))
    assert _pat(host, guest) == PAT
    load(host, guest, own)
    assert _pat(host, guest) == mtrr.PAT_RESET


def _pat(host: Host, guest: TinyGuest) -> int:
    return mtrr.LAYOUT.unpack(by_vcpu(host, guest, Typecode.MTRR)[0].payload)["msr_pat_cr"]


def test_a_refused_load_leaves_every_vcpu_down(host: Host, tiny_guest: Factory) -> None:
    """One bad record among good ones: Xen answers EINVAL and the guest stands still, until the good ones come alone."""
    guest = tiny_guest(vcpus=3)
    load(host, guest, cpu_records(host, guest)[0], record_of(1, layout.PARK, rflags=0x202))
    assert guest.online() == [0, 1]
    good = cpu_records(host, guest)
    with pytest.raises(HypercallError) as refused:
        load(host, guest, record_of(2, layout.PARK, cr0=0), *good.values())
    assert refused.value.errno == errno.EINVAL
    assert guest.online() == []
    load(host, guest, *good.values())
    assert guest.online() == [0, 1]
    guest.await_beats()


UNCHECKED: Mapping[str, bytes] = {
    "CR0.NW without CR0.CD": encoding.to_vcpu_hvm_context(flat32(layout.PARK, 0x500000)).with_values(
        cr0=0x20000011).pack(),
    "CR0 above 32 bits": encoding.to_vcpu_hvm_context(long64(layout.PARK, 0x500000, layout.TABLES)).with_values(
        cr0=0x180000011).pack(),
    "CR3 beyond the physical addresses": encoding.to_vcpu_hvm_context(
        long64(layout.PARK, 0x500000, 1 << 52 | layout.TABLES)).pack(),
}


@pytest.mark.parametrize("what", UNCHECKED)
def test_vcpuop_initialise_takes_what_no_processor_enters(tiny_guest: Factory, what: str) -> None:
    """VCPUOP_initialise answers 0, VCPUOP_up lets the vcpu run, and Xen crashes the whole domain."""
    guest = tiny_guest(vcpus=2)
    assert guest.vcpu_op(INITIALISE, 1, UNCHECKED[what]) == 0
    guest.ask(VCPU_OP, UP, 1, 0)
    await_true(lambda: "c" in (guest.state() or ""), "the domain did not crash", 60)


def test_vcpuop_initialise_refuses_padding_and_modes_without_a_word(host: Host, tiny_guest: Factory) -> None:
    """EINVAL with no line on Xen's console; for a bad segment beside them it prints why."""
    guest = tiny_guest(vcpus=2)
    sound = encoding.to_vcpu_hvm_context(flat32(layout.PARK, 0x500000))
    assert _lines(host, guest, sound.with_values(cs_ar=0x93).pack()) != []
    for field in ("pad", "pad2[0]"):
        assert _lines(host, guest, sound.with_values(**{field: 1}).pack()) == []
    assert _lines(host, guest, struct.pack("<I", 2) + sound.pack()[4:]) == []


def _lines(host: Host, guest: TinyGuest, context: bytes) -> List[str]:
    host.dom0.console()
    assert guest.vcpu_op(INITIALISE, 1, context) == -errno.EINVAL
    return [line for line in host.dom0.console().splitlines() if f"d{guest.domid}v" in line]
