# SPDX-License-Identifier: MIT
"""Each mode through each interface: what a vcpu that was started there finds, and what its segments do.

One guest for each mode, a vcpu of it for each test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Mapping

import pytest

from integration import starts
from integration.evidence import hvmctx
from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.evidence.traps import GENERAL_PROTECTION, Trap, Traps
from integration.guest import layout
from xenvcpu.api import Dom0Domain, Segment, VcpuContext, open_host

DUMPS = {"vcpuop": 1, "dom0": 2}
SEGMENTS = {"vcpuop": 3, "dom0": 4}
COMPARED = 5
JUMP_TO_SELF = b"\xeb\xfe"
PAGED = ("pae32", "compat32", "long64")
FLAGS = 0x207CD7
"""All that user code could set in RFLAGS but TF and IF: the stub would take traps, or interrupts."""
CR4 = 0x680
EFER = 0x801
APIC = 0xFEE00000
ORDER = ("ds", "ss", "fs", "gs", "es")
"""In which segments.s stores through them."""
MARKED, APIC_ID, PAST = 40, 48, 56
"""What else it stores through SS."""
NO_LIMIT = {
    "real16": "neither QEMU nor, for real mode, Xen looks at a limit (SDM volume 3A, 5.3 and 20.1.1)",
    "pae32": "QEMU looks at no limit, and what leaves the guest under 32-bit PAE hangs in it",
    "long64": "there are no limits in 64-bit mode (SDM volume 3A, 5.3.1)",
}


@dataclass(frozen=True)
class Scene:
    """A guest, and the mode that its vcpus are started in."""

    mode: str
    guest: TinyGuest
    domain: Dom0Domain
    image: Path


@pytest.fixture(scope="module", params=starts.MODES)
def scene(request: pytest.FixtureRequest, tiny_image: Path) -> Iterator[Scene]:
    guest = TinyGuest(tiny_image, vcpus=6)
    try:
        with open_host("dom0") as host:
            yield Scene(request.param, guest, starts.drive(host, guest), tiny_image)
    finally:
        guest.destroy()


@pytest.mark.smoke
@pytest.mark.parametrize("interface", starts.INTERFACES)
def test_a_vcpu_finds_each_register_that_its_context_named(scene: Scene, interface: str) -> None:
    """The stub dumps the registers asked for, in code of the width asked for, through the page tables asked for."""
    vcpuid, width = DUMPS[interface], starts.WIDTHS[scene.mode]
    context = starts.context(scene.guest, scene.mode, vcpuid)
    context = context.replace(rflags=FLAGS, cr4=context.cr4 | CR4, efer=context.efer | EFER)
    scene.guest.forget_use(scene.guest.stubs.address(vcpuid))
    starts.INTERFACES[interface](scene.guest, scene.domain, vcpuid, context)
    seen = scene.guest.dump(vcpuid)
    assert scene.guest.was_used(scene.guest.stubs.address(vcpuid)) == (scene.mode in PAGED)
    assert {name: seen[name] for name in starts.GENERAL} == starts.registers(vcpuid, width)
    assert (seen["width"], seen["rflags"]) == (width, FLAGS)
    if scene.mode == "pae32":  # there the stub leaves the guest for nothing
        seen = hvmctx.registers(scene.guest.domid, vcpuid)
    asked = {name: getattr(context, name) for name in ("cr0", "cr3", "cr4", "efer")}
    assert {name: seen[name] for name in asked} == asked
    scene.domain.stop([vcpuid])
    scene.guest.await_beats()


def segments(scene: Scene, interface: str, entry: int) -> dict[str, Segment]:
    """A base of its own for each segment that the interface carries in that mode; ES ends within the local APIC."""
    limit, ar, code = (0xFFFF, 0x93, 0x9B) if scene.mode == "real16" else (0xFFFFFFFF, 0xC93, 0xC9B)
    carried = [*(("fs", "gs") if interface == "dom0" else ()), *(("ds", "ss", "es") if scene.mode != "long64" else ())]
    made = {name: Segment(layout.SEGMENTS + layout.PAGE * ORDER.index(name), limit, ar) for name in carried}
    if scene.mode != "long64":
        made["cs"] = Segment(entry, limit, code)
    if scene.mode not in NO_LIMIT:
        made["es"] = Segment(APIC, layout.SEG_APIC_ID + 3, 0x493)
    return made


def segmented(scene: Scene, interface: str, vcpuid: int) -> VcpuContext:
    """The context that starts segments.s; its ECX says what that does besides."""
    width = starts.WIDTHS[scene.mode]
    entry = scene.guest.stubs.place_program(f"segments{width}.bin", vcpuid)
    wanted = layout.SEG_FS_GS if interface == "dom0" else 0
    wanted |= layout.SEG_SPINS if scene.mode == "pae32" else 0
    wanted |= 0 if scene.mode in NO_LIMIT else layout.SEG_LIMIT
    return starts.bare(scene.guest, scene.mode).replace(
        rip=entry if width == 64 else 0, rcx=wanted, rsp=layout.PAGE - 0x100, **segments(scene, interface, entry)
    )


@pytest.mark.parametrize("interface", starts.INTERFACES)
def test_a_store_lands_behind_the_base_of_its_segment_and_traps_beyond_the_limit(
    scene: Scene, interface: str, record_property: Callable[[str, object], None]
) -> None:
    """A word read through CS is found where base and offset of each segment say; beyond a limit there is #GP.

    In 64-bit mode only FS and GS have a base, which only dom0 can give.
    """
    vcpuid, guest = SEGMENTS[interface], scene.guest
    guest.write(0, bytes(layout.PAGE))
    guest.write(layout.SEGMENTS, bytes(layout.PAGE * len(ORDER)))
    traps = Traps(guest.memory, scene.image, wide=scene.mode == "compat32")
    context = segmented(scene, interface, vcpuid)
    starts.INTERFACES[interface](guest, scene.domain, vcpuid, context)

    bases = {name: (getattr(context, name) or Segment()).base for name in ORDER}

    def stored(name: str, spot: int) -> int:
        return guest.memory.read_word(bases[name] + layout.SEG_SPOT + spot)

    await_true(lambda: bool(traps.taken()) or stored("ss", MARKED) == layout.MARKER, "segments.s did not end", 30)
    for number, name in enumerate(ORDER):
        if (name not in ("fs", "gs") or interface == "dom0") and bases[name] != APIC:
            assert (name, stored(name, 8 * number)) == (name, layout.SEG_WORD + number)
    if scene.mode in NO_LIMIT:
        record_property("limit", NO_LIMIT[scene.mode])
        assert traps.taken() is None
    else:
        assert stored("ss", APIC_ID) == 2 * vcpuid << 24
        assert (traps.taken(), stored("ss", PAST)) == (Trap(GENERAL_PROTECTION, layout.SEG_BEYOND, 0), 0)
    if scene.mode == "pae32":
        scene.domain.stop([vcpuid])
    await_true(lambda: vcpuid not in guest.online(), f"vcpu {vcpuid} did not go down", 30)
    guest.await_beats()


def record_after(scene: Scene, interface: str, context: VcpuContext) -> Mapping[str, int]:
    """The CPU record that a start leaves, its TSC shown to be of the time between."""
    guest = scene.guest
    before = guest.tsc()
    starts.INTERFACES[interface](guest, scene.domain, COMPARED, context)
    record = scene.domain.state().record(COMPARED).values
    guest.await_beats(2)
    assert before < record["tsc"] < guest.tsc()
    scene.domain.stop([COMPARED])
    return record


def test_both_interfaces_leave_the_same_cpu_record(scene: Scene) -> None:
    """Through VCPUOP in the guest, then from dom0, on a loop that changes nothing: no field differs but the TSC."""
    context = starts.context(scene.guest, scene.mode, COMPARED)
    context = context.replace(rflags=FLAGS, cr4=context.cr4 | CR4, efer=context.efer | EFER)
    scene.guest.write((context.cs.base if scene.mode == "real16" and context.cs else 0) + context.rip, JUMP_TO_SELF)
    inside, outside = (record_after(scene, interface, context) for interface in starts.INTERFACES)
    assert inside["tsc"] < outside["tsc"]
    differing = {
        name: (hex(value), hex(outside[name])) for name, value in inside.items()
        if name != "tsc" and value != outside[name]
    }
    assert differing == {}
