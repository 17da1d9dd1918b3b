# SPDX-License-Identifier: MIT
"""Stubs: code for a vcpu that is to be started, and what it tells of itself."""

import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Optional

from integration.evidence.foreign import GuestMemory
from integration.guest import layout
from integration.limits import Limit

#: Kind of start, and the blob that runs there.
KINDS: Dict[str, str] = {
    "real16": "stub16.bin",
    "flat32": "stub32.bin",
    "compat32": "stub32.bin",
    "pae32": "quiet32.bin",  # under HAP the emulator mishandles exits of 32-bit PAE code
    "pae32 in full": "stub32.bin",
    "long64": "stub64.bin",
    "device": "device.bin",  # flat32 as well, but it tells of a device and never of itself
}
_WANTED = {
    "debug": layout.WANT_DEBUG,
    "msrs": layout.WANT_MSRS,
    "fxsave": layout.WANT_FXSAVE,
    "tsc_aux": layout.WANT_TSC_AUX,
}
_GPRS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()
_SYSTEM = "rflags cr0 cr2 cr3 cr4 efer fs_base gs_base kernel_gs_base".split()
_SELECTORS = "cs ds es ss fs gs tr ldtr".split()
_DRS = "dr0 dr1 dr2 dr3 dr6 dr7".split()
_DEVICE = (layout.DV_ROUNDS, layout.DV_WRONG, layout.DV_TOLD, layout.DV_SAID, layout.DV_SLIPS)
_VMCALL, _VMMCALL = b"\x0f\x01\xc1", b"\x0f\x01\xd9"


class StubError(Exception):
    """A stub cannot be placed, or its vcpu never reached its end."""


def _intel() -> bool:
    return "GenuineIntel" in Path("/proc/cpuinfo").read_text()


def _patch(code: bytes, sentinel: int, value: int, wide: bool) -> bytes:
    if wide:
        return code.replace(struct.pack("<II", sentinel, sentinel), struct.pack("<Q", value))
    return code.replace(struct.pack("<I", sentinel), struct.pack("<I", value & 0xFFFFFFFF))


@dataclass(frozen=True)
class Device:
    """What a vcpu noticed that tells a device a number and asks for it again.

    Attributes:
        rounds: How often it did.
        wrong: How often the device said another number.
        told: The last number of these.
        said: What the device said then.
        slips: How often the vcpu found another number of rounds in its register than in memory.
    """

    rounds: int
    wrong: int
    told: int
    said: int
    slips: int


class StubArea:
    """The part of a guest's memory where stubs stand.

    Args:
        memory: The guest's memory.
        blobs: Directory of the assembled stubs.
        base: Where the pages of vcpu 0 begin; each vcpu has two.
        low: The same for 16-bit code; None if there is no room below 64 KiB.
        clock: Address of a 64-bit Xen time that somebody keeps; None if nobody does.
    """

    def __init__(
        self,
        memory: GuestMemory,
        blobs: Path,
        base: int,
        low: Optional[int] = None,
        clock: Optional[int] = None,
    ) -> None:
        self._memory = memory
        self._blobs = blobs
        self._base = base
        self._low = low
        self._clock = clock
        self._dumps: Dict[int, int] = {}

    def _page(self, kind: str, vcpuid: int) -> int:
        if kind != "real16":
            return self._base + vcpuid * layout.STUB_STRIDE
        if self._low is None or not 0 < vcpuid <= layout.LOW_STUBS_LAST:
            raise StubError(f"no room for 16-bit code of vcpu {vcpuid}")
        return self._low + vcpuid * layout.STUB_STRIDE

    def place(
        self,
        kind: str,
        vcpuid: int,
        *,
        wanted: Iterable[str] = (),
        data_base: int = 0,
        stack_base: int = 0,
        rests: bool = False,
    ) -> int:
        """Writes a stub for a vcpu and clears its dump.

        Args:
            kind: One of ``KINDS``.
            vcpuid: The vcpu that will run it.
            wanted: What else to dump: ``debug``, ``msrs`` (64-bit only), ``fxsave``.
            data_base: The base of DS that the vcpu will start with.
            stack_base: The base of SS; not looked at by ``real16``, which loads SS.
            rests: Sleep for ever after the marker; many vcpus that count every few
                milliseconds leave an emulated host no time for dom0.

        Returns:
            The entry's guest-physical address.
        """
        page = self._page(kind, vcpuid)
        dump = page + layout.PAGE
        code = (self._blobs / KINDS[kind]).read_bytes()
        wide = kind == "long64"
        clock = self._clock
        if clock is None or rests or kind == "real16":
            clock = dump + layout.ST_NEVER
        stack = dump >> 4 if kind == "real16" else dump + layout.ST_STACK - stack_base
        code = _patch(code, layout.SENTINEL_DUMP, dump - data_base, wide)
        code = _patch(code, layout.SENTINEL_STACK, stack, wide)
        code = _patch(code, layout.SENTINEL_NOW, clock - data_base, wide)
        code = _patch(code, layout.SENTINEL_POLL, dump + layout.ST_POLL, wide)
        if _intel():
            code = code.replace(_VMMCALL, _VMCALL)
        fresh = bytearray(layout.PAGE)
        bits = sum(_WANTED[name] for name in wanted)
        struct.pack_into("<I", fresh, layout.ST_WANTED, bits)
        self._memory.write(page, code.ljust(layout.PAGE, b"\xf4") + bytes(fresh))
        self._dumps[vcpuid] = dump
        return page

    def place_program(self, name: str, vcpuid: int) -> int:
        """Writes one of ``build.PROGRAMS`` where a vcpu's stub would stand, and zeroes into the page behind.

        Returns:
            The entry's guest-physical address.
        """
        page = self._page("real16" if name.endswith("16.bin") else "", vcpuid)
        code = (self._blobs / name).read_bytes()
        if _intel():
            code = code.replace(_VMMCALL, _VMCALL)
        self._memory.write(page, code.ljust(2 * layout.PAGE, b"\0"))
        self._dumps[vcpuid] = page + layout.PAGE
        return page

    def address(self, vcpuid: int) -> int:
        """Returns where the dump of a vcpu's stub stands, or the page behind its program."""
        return self._dumps[vcpuid]

    def reached(self, vcpuid: int) -> bool:
        """Says whether the stub has written its marker."""
        address = self._dumps[vcpuid] + layout.ST_MARKER
        return self._memory.read_word(address) == layout.MARKER

    def counter(self, vcpuid: int) -> int:
        """Returns the stub's counter, which goes on after the marker."""
        return self._memory.read_word(self._dumps[vcpuid] + layout.ST_COUNTER)

    def await_count(self, vcpuid: int, more: int = 2, timeout: float = 60.0) -> None:
        """Waits until a stub that does not rest has counted on.

        Raises:
            StubError: It has not.
        """
        first = self.counter(vcpuid)
        complaint = f"vcpu {vcpuid} of d{self._memory.domid} does not count on"
        await_true(lambda: (self.counter(vcpuid) - first) & 0xFFFFFFFF >= more, complaint, timeout)

    def dump(self, vcpuid: int, timeout: float = 30.0) -> Dict[str, int]:
        """Waits for the marker and returns everything that the stub saw, by name.

        Raises:
            StubError: The marker did not appear.
        """
        await_true(
            lambda: self.reached(vcpuid),
            f"vcpu {vcpuid} of d{self._memory.domid} never reached its stub's marker",
            timeout,
        )
        return decode(self._memory.read(self._dumps[vcpuid], layout.PAGE))

    def device(self, vcpuid: int) -> Device:
        """Returns what the ``device`` stub of a vcpu has met so far."""
        page = self._memory.read(self._dumps[vcpuid], layout.PAGE)
        return Device(*(struct.unpack_from("<I", page, offset)[0] for offset in _DEVICE))

    def fxsave(self, vcpuid: int) -> bytes:
        """Returns the FXSAVE image that a stub took when told ``fxsave``."""
        return self._memory.read(self._dumps[vcpuid] + layout.ST_FXSAVE, 512)


def await_true(condition: Callable[[], bool], complaint: str, timeout: float) -> None:
    """Looks every 20 ms until a condition holds.

    Raises:
        StubError: It did not within ``timeout`` seconds.
    """
    limit = Limit(timeout)
    while not condition():
        if limit.passed:
            raise StubError(f"{complaint} within {timeout:g} s")
        time.sleep(0.02)


def decode(page: bytes) -> Dict[str, int]:
    """Returns the fields of a dump page by name."""
    found = dict(zip(_GPRS, struct.unpack_from("<16Q", page, layout.ST_GPRS)))
    found.update(zip(_SYSTEM, struct.unpack_from("<9Q", page, layout.ST_RFLAGS)))
    found.update(zip(_SELECTORS, struct.unpack_from("<8H", page, layout.ST_SELECTORS)))
    found.update(zip(_DRS, struct.unpack_from("<6Q", page, layout.ST_DRS)))
    found.update(zip(layout.MSRS, struct.unpack_from("<8Q", page, layout.ST_MSRS)))
    for name, offset in (("gdtr", layout.ST_GDTR), ("idtr", layout.ST_IDTR)):
        found[f"{name}_limit"], found[f"{name}_base"] = struct.unpack_from("<HQ", page, offset)
    for name, offset in (
        ("width", layout.ST_WIDTH),
        ("marker", layout.ST_MARKER),
        ("counter", layout.ST_COUNTER),
    ):
        found[name] = struct.unpack_from("<I", page, offset)[0]
    return found
