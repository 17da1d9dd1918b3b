# SPDX-License-Identifier: MIT
"""The suites' own tools, shown to work on a real Xen without the package under test."""

import struct
import time
from contextlib import closing
from typing import Callable

import pytest

from integration import hosttime
from integration.evidence import paging, xl
from integration.evidence.foreign import GuestMemory
from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.guest import layout
from integration.lab.dom0.status import Status

Factory = Callable[..., TinyGuest]

INITIALISE, UP, DOWN, IS_UP = 0, 1, 2, 3
EEXIST, ENOENT, EINVAL = -17, -2, -22
FLAT_CODE, FLAT_DATA, TSS = 0xC9B, 0xC93, 0x8B


def context32(eip: int, **given: int) -> bytes:
    """Packs a struct vcpu_hvm_context in 32B mode by hand, flat unless told otherwise."""
    registers = "eax ecx edx ebx esp ebp esi edi".split()
    head = [given.get(name, 0) for name in registers]
    system = [given.get("eflags", 2), given.get("cr0", 0x11), given.get("cr3", 0)]
    bases = [given.get(f"{name}_base", 0) for name in ("cs", "ds", "ss", "es", "tr")]
    limit = given.get("limit", 0xFFFFFFFF)
    limits = [given.get("cs_limit", limit), limit, limit, limit, 0x67]
    attributes = [given.get("cs_ar", FLAT_CODE), *[given.get("data_ar", FLAT_DATA)] * 3, TSS]
    return struct.pack(
        "<II8I5IIQ5I5I5H3H",
        0, 0, *head, eip, *system, given.get("cr4", 0), 0, given.get("efer", 0),
        *bases, *limits, *attributes, 0, 0, 0,
    )  # fmt: skip


def context64(rip: int, cr3: int, **given: int) -> bytes:
    """Packs a struct vcpu_hvm_context in 64B mode by hand."""
    registers = "rax rcx rdx rbx rsp rbp rsi rdi".split()
    head = [given.get(name, 0) for name in registers]
    tail = (rip, 2, 0x80000011, cr3, 0x20, given.get("efer", 0x500))
    return struct.pack("<II8Q6Q8x", 1, 0, *head, *tail)


def test_beat(tiny_guest: Factory) -> None:
    """The boot vcpu of a tiny guest counts, and only it is up."""
    guest = tiny_guest(vcpus=4)
    before = guest.beat()
    assert guest.await_beats(5) >= before + 5
    assert guest.online() == [0]
    assert sorted(guest.vcpu_states()) == [0, 1, 2, 3]


def test_memory_is_the_guests(tiny_guest: Factory) -> None:
    """What dom0 writes across a page boundary is there when it looks again."""
    guest = tiny_guest(vcpus=1)
    data = bytes(range(256)) * 20
    guest.write(0x500FF0, data)
    assert guest.read(0x500FF0, len(data)) == data
    with closing(GuestMemory(guest.domid)) as other:
        assert other.read(0x500FF0, 16) == data[:16]


def test_unmapped_memory_is_an_error(tiny_guest: Factory) -> None:
    """Reading where the guest has no memory raises, and says where."""
    guest = tiny_guest(vcpus=1)
    with pytest.raises(OSError, match="0x40000000"):
        guest.read(0x40000000, 4)


def test_proxy_answers(tiny_guest: Factory) -> None:
    """A hypercall asked for in the mailbox is done once and its result comes back."""
    guest = tiny_guest(vcpus=2)
    assert guest.vcpu_op(IS_UP, 0) == 1
    assert guest.vcpu_op(IS_UP, 1) == 0
    assert guest.vcpu_op(IS_UP, 2) == ENOENT
    assert guest.vcpu_op(UP, 1) == EINVAL
    executed = layout.MAILBOX + layout.MB_EXECUTED
    assert guest.memory.read_word(executed) == 4


def test_flat32_start(tiny_guest: Factory) -> None:
    """A vcpu started by hand runs its stub with the registers given; twice is EEXIST."""
    guest = tiny_guest(vcpus=2)
    entry = guest.place_stub("flat32", 1)
    given = {"eax": 0xA1, "ecx": 0xC2, "edx": 0xD3, "ebx": 0xB4, "esp": 0x5000,
             "ebp": 0xB6, "esi": 0x57, "edi": 0xD8}  # fmt: skip
    context = context32(entry, **given)
    assert guest.vcpu_op(INITIALISE, 1, context) == 0
    assert not guest.stubs.reached(1)
    assert guest.vcpu_op(UP, 1) == 0
    seen = guest.dump(1)
    assert {name: seen["r" + name[1:]] for name in given} == given
    assert (seen["width"], seen["cr0"], seen["efer"]) == (32, 0x11, 0)
    assert guest.vcpu_op(INITIALISE, 1, context) == EEXIST
    assert guest.online() == [0, 1]
    assert guest.state() is not None and "c" not in guest.state()  # type: ignore[operator]


def test_stub_counts_on(tiny_guest: Factory) -> None:
    """A started vcpu goes on counting after its marker, without hogging the processor."""
    guest = tiny_guest(vcpus=2)
    entry = guest.place_stub("flat32", 1)
    assert guest.vcpu_op(INITIALISE, 1, context32(entry)) == 0
    assert guest.vcpu_op(UP, 1) == 0
    guest.dump(1)
    first = guest.stubs.counter(1)
    await_true(lambda: guest.stubs.counter(1) > first + 2, "the stub counts no more", 30)
    guest.await_beats(5)


def test_long64_start(tiny_guest: Factory) -> None:
    """The 64-bit stub runs in long mode on the tables written from dom0, low and high."""
    guest = tiny_guest(vcpus=3)
    roots = guest.page_tables()
    for vcpuid, offset in ((1, 0), (2, paging.HIGH_BASE)):
        entry = guest.place_stub("long64", vcpuid) + offset
        context = context64(entry, roots.long, rax=0x1122334455667788, rdi=vcpuid)
        assert guest.vcpu_op(INITIALISE, vcpuid, context) == 0
        assert guest.vcpu_op(UP, vcpuid) == 0
        seen = guest.dump(vcpuid)
        assert (seen["width"], seen["efer"], seen["cr3"]) == (64, 0x500, roots.long)
        assert (seen["rax"], seen["rdi"]) == (0x1122334455667788, vcpuid)
    guest.await_beats()


def test_compat32_start(tiny_guest: Factory) -> None:
    """The 32-bit stub runs in compatibility mode: EFER.LMA on, code still 32-bit."""
    guest = tiny_guest(vcpus=2)
    roots = guest.page_tables()
    entry = guest.place_stub("compat32", 1)
    context = context32(entry, cr0=0x80000011, cr3=roots.long, cr4=0x20, efer=0x500)
    assert guest.vcpu_op(INITIALISE, 1, context) == 0
    assert guest.vcpu_op(UP, 1) == 0
    seen = guest.dump(1)
    assert (seen["width"], seen["efer"]) == (32, 0x500)


def test_pae32_start(tiny_guest: Factory) -> None:
    """The quiet stub runs under 32-bit PAE paging and counts."""
    guest = tiny_guest(vcpus=2)
    roots = guest.page_tables()
    entry = guest.place_stub("pae32", 1)
    context = context32(entry, cr0=0x80000011, cr3=roots.pae, cr4=0x20, edx=0xDADA)
    assert guest.vcpu_op(INITIALISE, 1, context) == 0
    assert guest.vcpu_op(UP, 1) == 0
    seen = guest.dump(1)
    assert (seen["width"], seen["rdx"]) == (32, 0xDADA)
    assert guest.vcpu_op(DOWN, 1) == 0


def test_real16_start(tiny_guest: Factory) -> None:
    """The 16-bit stub runs in real mode at a CS base of its own."""
    guest = tiny_guest(vcpus=2)
    entry = guest.place_stub("real16", 1)
    context = context32(
        0, cs_base=entry, cs_ar=0x9B, data_ar=0x93, limit=0xFFFF, cr0=0x10, esp=0x1234
    )
    assert guest.vcpu_op(INITIALISE, 1, context) == 0
    assert guest.vcpu_op(UP, 1) == 0
    seen = guest.dump(1)
    assert (seen["width"], seen["cr0"] & 1, seen["rsp"]) == (16, 0, 0x1234)


def test_watch_sees_nothing_in_peace(tiny_guest: Factory) -> None:
    """The boot vcpu that watches its registers finds none changed while nothing happens."""
    guest = tiny_guest(vcpus=1)
    guest.watch_registers()
    guest.await_beats(20)
    watch = guest.watch()
    assert watch.rounds > 5
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)


def test_vcpus_are_listed(tiny_guest: Factory) -> None:
    """What xl tells of dom0 and of a guest is understood."""
    guest = tiny_guest(vcpus=3)
    assert xl.domid(guest.name) == guest.domid
    assert xl.state(0) is not None
    assert xl.state(32000) is None
    assert guest.vcpu_states()[2] == "--p"
    assert any("Xen version" in line or "Scrubbing" in line for line in xl.dmesg())


@pytest.mark.smoke
def test_the_host_knows_for_how_long_qemu_has_waited() -> None:
    """Its limits are then those of its own time; outside the lab there is no such page."""
    if Status.inherited() is None:
        pytest.skip("no emulated host: its time is that of the clock")
    assert hosttime.is_known()
    first = hosttime.waited()
    assert 0.0 <= first <= hosttime.waited() < time.monotonic() + 60
