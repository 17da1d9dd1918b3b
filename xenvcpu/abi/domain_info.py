# SPDX-License-Identifier: MIT
"""`xc_domaininfo_t`: what Xen says about one domain.

Source: `struct xen_domctl_getdomaininfo` in xen/include/public/domctl.h, filled by
getdomaininfo in xen/common/domctl.c. It grew only at the end, so what is read here lies at
the same offsets in every release; its size changed, and two flags moved.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from xenvcpu.abi.layout import Field, Layout, sequence
from xenvcpu.errors import FormatError

if TYPE_CHECKING:
    from xenvcpu.rules.release import Release

NO_VCPU = 0xFFFFFFFF
"""`max_vcpu_id` of a domain that has no vcpus (XEN_INVALID_MAX_VCPU_ID)."""

LAYOUT = Layout(
    "xen_domctl_getdomaininfo", 96,
    [
        Field("domain", 0, 2), Field("flags", 4, 4),
        *sequence("tot_pages max_pages outstanding_pages shr_pages paged_pages shared_info_frame cpu_time", 8, 8),
        *sequence("nr_online_vcpus max_vcpu_id ssidref", 4, 64), Field("cpupool", 92, 4),
    ],
)
"""The part that all releases share."""

HANDLE_OFFSET, HANDLE_SIZE = 76, 16

# The code stands above the flags; Xen keeps it as all ones until the domain shuts down.
_CODE_SHIFT, _CODE_MASK, _NO_CODE = 16, 0xFF, 0xFFFF

_FLAGS = ("is_dying", "is_hvm", "is_shutdown", "is_paused", "is_blocked", "is_running")
_NUMBERS = {
    "domid": "domain", "nr_online_vcpus": "nr_online_vcpus", "max_vcpu_id": "max_vcpu_id", "cpu_time": "cpu_time",
    "tot_pages": "tot_pages", "cpupool": "cpupool",
}


SHUTDOWN_CRASH = 3
_SHUTDOWNS = {0: "poweroff", 1: "reboot", 2: "suspend", SHUTDOWN_CRASH: "crash", 4: "watchdog", 5: "soft_reset"}
"""SHUTDOWN_* (xen/include/public/sched.h), by libxl's names."""
EMU_LAPIC = 1
_EMULATION = struct.Struct("<I")


@dataclass(frozen=True)
class DomainInfo:
    """A snapshot of one domain.

    Attributes:
        domid: Compare it with the one asked for: a list starts with the next domain that exists.
        handle: The UUID that the toolstack gave it.
        is_hvm: HVM or PVH; a PV domain otherwise.
        is_dying: Destroyed, only waiting for its last pages; not set while it is being destroyed.
        is_shutdown: Its software has stopped or crashed; see `shutdown_reason`.
        is_paused: By a toolstack.
        is_blocked: All its vcpus wait.
        is_running: A vcpu is on a processor right now.
        is_hap: Hardware-assisted paging; None where Xen does not say (4.7).
        shutdown_reason: SHUTDOWN_*, or None while it is not shut down.
        nr_online_vcpus: How many vcpus are not down.
        max_vcpu_id: The highest vcpuid, or `NO_VCPU`.
        cpu_time: Of all vcpus, in nanoseconds.
        tot_pages: Memory in pages of 4 KiB.
        cpupool: Its number.
        other_flags: Flags that have no name here, as they stood (their places differ by release).
        emulation: What is emulated for it (XEN_X86_EMU_*); 0 where Xen does not say (up to 4.10.0).
    """

    domid: int
    handle: uuid.UUID = uuid.UUID(int=0)
    is_hvm: bool = False
    is_dying: bool = False
    is_shutdown: bool = False
    is_paused: bool = False
    is_blocked: bool = False
    is_running: bool = False
    is_hap: Optional[bool] = None
    shutdown_reason: Optional[int] = None
    nr_online_vcpus: int = 0
    max_vcpu_id: int = NO_VCPU
    cpu_time: int = 0
    tot_pages: int = 0
    cpupool: int = 0
    other_flags: int = 0
    emulation: int = 0

    @property
    def has_crashed(self) -> bool:
        """Whether it has crashed; one that shut down otherwise did so by itself."""
        return self.is_shutdown and self.shutdown_reason == SHUTDOWN_CRASH

    @property
    def ended(self) -> Optional[str]:
        """How it has ended, by libxl's name for the shutdown or as `dying`; None while it has not."""
        if self.is_shutdown:
            return _SHUTDOWNS.get(self.shutdown_reason or 0, f"shutdown {self.shutdown_reason}")
        return "dying" if self.is_dying else None

    @property
    def has_device_model(self) -> bool:
        """Whether devices are emulated for it, so that accesses of its vcpus wait for another program: HVM, not PVH.

        Of a PVH domain the toolstacks have Xen emulate the local APIC, and nothing else (libxl_x86.c).
        """
        return bool(self.emulation & ~EMU_LAPIC)

    @property
    def vcpu_count(self) -> int:
        """How many vcpus it was created with."""
        return 0 if self.max_vcpu_id == NO_VCPU else self.max_vcpu_id + 1


def size(release: Release) -> int:
    """sizeof(xc_domaininfo_t), which is also the stride of a list."""
    if release.minor >= 16:
        return 112
    return 104 if (release.minor, release.point) >= (10, 1) else LAYOUT.size


def emulation_offset(release: Release) -> Optional[int]:
    """Where `arch_config.emulation_flags` stands; None in a release that has none."""
    sized = size(release)
    return None if sized == LAYOUT.size else sized - 8


def _bits(release: Release) -> dict[str, int]:
    # 4.8 put hap behind the flag of the first PVH; 4.9 took that flag away.
    bits = {name: bit for bit, name in enumerate(_FLAGS)}
    return {**bits, "is_hap": 9 if release.minor == 8 else 8} if release.minor >= 8 else bits


def decode(data: bytes, release: Release) -> DomainInfo:
    """Read an `xc_domaininfo_t` as that release fills it; more bytes may follow.

    Raises:
        FormatError: Fewer than 96 bytes.
    """
    if len(data) < LAYOUT.size:
        raise FormatError(f"{LAYOUT.name} has at least {LAYOUT.size} bytes, got {len(data)}", offset=len(data))
    image = LAYOUT.unpack(data[: LAYOUT.size])
    code, bits = image["flags"] >> _CODE_SHIFT, _bits(release)
    flags = {name: bool(image["flags"] >> bit & 1) for name, bit in bits.items()}
    named = sum(1 << bit for bit in bits.values())
    offset = emulation_offset(release)
    is_told = offset is not None and len(data) >= offset + _EMULATION.size
    return DomainInfo(
        handle=uuid.UUID(bytes=bytes(data[HANDLE_OFFSET : HANDLE_OFFSET + HANDLE_SIZE])),
        shutdown_reason=code & _CODE_MASK if flags["is_shutdown"] else None,
        other_flags=image["flags"] & ~named & (1 << _CODE_SHIFT) - 1,
        emulation=_EMULATION.unpack_from(data, offset or 0)[0] if is_told else 0,
        **flags, **{name: image[field] for name, field in _NUMBERS.items()},  # type: ignore[arg-type]
    )


def encode(info: DomainInfo, release: Release) -> bytes:
    """Write an `xc_domaininfo_t` as that release fills it; what `DomainInfo` lacks is zero.

    Raises:
        ContextError: A value does not fit.
    """
    code = info.shutdown_reason or 0 if info.is_shutdown else _NO_CODE
    flags = info.other_flags | sum(1 << bit for name, bit in _bits(release).items() if getattr(info, name))
    values = {field: getattr(info, name) for name, field in _NUMBERS.items()}
    data = bytearray(LAYOUT.image({**values, "flags": flags | code << _CODE_SHIFT}).pack().ljust(size(release), b"\0"))
    data[HANDLE_OFFSET : HANDLE_OFFSET + HANDLE_SIZE] = info.handle.bytes
    offset = emulation_offset(release)
    if offset is not None:
        _EMULATION.pack_into(data, offset, info.emulation)
    return bytes(data)
