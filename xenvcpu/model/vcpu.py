# SPDX-License-Identifier: MIT
"""One vcpu as Xen holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from xenvcpu.abi import cpu_record
from xenvcpu.abi.layout import Image
from xenvcpu.model.clock import MASK
from xenvcpu.rules import effect
from xenvcpu.rules.features import Features

_TSC = cpu_record.LAYOUT.fields["tsc"]
TSC_START, TSC_STOP = _TSC.offset, _TSC.offset + _TSC.size
_MOMENT = 1_000
"""Nanoseconds on a processor that running in a new state takes at the least."""
_NO_TSC = bytes(_TSC.size)


def without_tsc(payload: bytes) -> bytes:
    """A CPU record's payload with `tsc` zero."""
    return payload[:TSC_START] + _NO_TSC + payload[TSC_STOP:]


@dataclass
class Vcpu:
    """A vcpu of an HVM or PVH domain.

    Attributes:
        vcpuid: Its number.
        is_initialised: Xen's flag of that name.
        is_down: Whether _VPF_down is set.
        is_blocked: Whether _VPF_blocked is set: it sleeps until an event comes, also when it is put down and up again.
        state: Its registers as a CPU record of 1032 bytes whose `tsc` is zero; FPU image
            and `flags` included. Packed, since most vcpus are only carried along.
        tsc_offset: Guest TSC less host TSC, modulo 2**64.
        xsave: The payload of its CPU_XSAVE record; None for a vcpu that never enabled XSAVE.
        records: The payloads of its other save records, by typecode.
        has_vcpu_info: Whether it has a vcpu_info; the first 32 are born with one.
        is_vcpu_info_registered: Whether VCPUOP_register_vcpu_info was done for it; it can be once.
        pause_count: Pauses of this vcpu alone.
        cpu_time: Nanoseconds on a processor.
        runs: How often it was let run in a new state.
        accepted: The state that passed the checks of a load, and the CPU policy that it was judged by.
        has_entered: Whether it ever ran.
    """

    vcpuid: int
    is_initialised: bool = False
    is_down: bool = True
    is_blocked: bool = False
    state: bytes = effect.FRESH.pack()
    tsc_offset: int = 0
    xsave: Optional[bytes] = None
    records: Dict[int, bytes] = field(default_factory=dict)
    has_vcpu_info: bool = True
    is_vcpu_info_registered: bool = False
    pause_count: int = 0
    cpu_time: int = 0
    runs: int = 0
    accepted: Optional[Tuple[bytes, Features]] = None
    has_entered: bool = False

    @property
    def image(self) -> Image:
        """Its registers by the C names of the CPU record; setting it stores them."""
        return cpu_record.decode(self.state)

    @image.setter
    def image(self, image: Image) -> None:
        self.state = without_tsc(image.pack())

    def tsc_at(self, host_tsc: int) -> int:
        """The guest's TSC when the host's is `host_tsc`."""
        return (host_tsc + self.tsc_offset) & MASK

    def set_tsc(self, tsc: int, host_tsc: int) -> None:
        """Make the guest's TSC `tsc` when the host's is `host_tsc` (hvm_set_guest_tsc_fixed)."""
        self.tsc_offset = (tsc - host_tsc) & MASK

    def enter(self) -> None:
        """Let it run in the state that it has, and go to sleep; what that takes counts."""
        self.has_entered = self.is_blocked = True
        self.cpu_time += _MOMENT

    def reset(self) -> None:
        """Make it uninitialised, down and awake; its registers and its local APIC stay (vcpu_reset)."""
        self.is_initialised = False
        self.is_down = True
        self.is_blocked = False
