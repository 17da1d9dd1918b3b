# SPDX-License-Identifier: MIT
"""One domain as Xen holds it."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Tuple

from xenvcpu.model.ioreqserver import IoreqServer
from xenvcpu.model.memory import Memory
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules.features import Features

HVM_MAX_VCPUS = 128
LEGACY_MAX_VCPUS = 32
"""vcpus below have a vcpu_info in the shared info page from the start (XEN_LEGACY_MAX_VCPUS)."""


class Kind(str, enum.Enum):
    """What sort of guest a domain is."""

    PV = "pv"
    HVM = "hvm"
    PVH = "pvh"


class Shutdown(enum.IntEnum):
    """Why a domain is shut down; the names are Xen's behind `SHUTDOWN_`."""

    poweroff = 0
    reboot = 1
    suspend = 2
    crash = 3
    watchdog = 4


@dataclass
class Domain:
    """A domain.

    Attributes:
        domid: Its number.
        name: Its name in xenstore, where it is bytes: those that are no UTF-8 stand as Python's surrogate escapes.
        kind: PV, HVM or PVH.
        vcpus: All vcpus that it was created with.
        features: What its CPU policy allows.
        handle: The UUID that the toolstack gave it.
        pause_count: Pauses by toolstacks, up to 255.
        is_dying: Whether it is being destroyed.
        shutdown: Why its software stopped, or None.
        is_hap: Hardware-assisted paging; shadow paging else.
        sync_tsc: The host's TSC to which the `tsc` of its saved CPU records refer.
        tsc_khz: The frequency of its TSC.
        records: Its save records that belong to no vcpu, by (typecode, instance).
        memory: Its memory.
        is_privileged: Whether it is a control domain.
        has_lapic: Whether its vcpus have a local APIC.
        vm_assist: The mask of the PV assists that it enabled.
        ioreq_servers: What its device models have, by id; a world file keeps none.
        cut_off: The vcpus of which a load has cut off an access to a device, in order.
        is_privcmd_restricted: Whether its kernel refuses hypercalls from user space.
        offline: The vcpus that its toolstack has offline: it says so in xenstore, and Xen does not know.
    """

    domid: int
    name: str = ""
    kind: Kind = Kind.PVH
    vcpus: List[Vcpu] = field(default_factory=list)
    features: Features = field(default_factory=Features)
    handle: uuid.UUID = uuid.UUID(int=0)
    pause_count: int = 0
    is_dying: bool = False
    shutdown: Optional[int] = None
    is_hap: bool = True
    sync_tsc: int = 0
    tsc_khz: int = 0
    records: Dict[Tuple[int, int], bytes] = field(default_factory=dict)
    memory: Memory = field(default_factory=lambda: Memory(0x4000))
    is_privileged: bool = False
    has_lapic: bool = True
    vm_assist: int = 0
    is_privcmd_restricted: bool = False
    ioreq_servers: Dict[int, IoreqServer] = field(default_factory=dict)
    cut_off: List[int] = field(default_factory=list)
    offline: List[int] = field(default_factory=list)

    @property
    def is_hvm(self) -> bool:
        """Whether it is HVM or PVH."""
        return self.kind is not Kind.PV

    def vcpu(self, vcpuid: int) -> Optional[Vcpu]:
        """The vcpu of that number, or None."""
        return self.vcpus[vcpuid] if 0 <= vcpuid < len(self.vcpus) else None

    @property
    def online(self) -> Iterator[Vcpu]:
        """The vcpus that are not down."""
        return (vcpu for vcpu in self.vcpus if not vcpu.is_down)

    @property
    def is_stopped(self) -> bool:
        """Whether no vcpu of it can run now, whatever its own state."""
        return bool(self.pause_count) or self.shutdown is not None or self.is_dying

    def shut_down(self, reason: int) -> None:
        """Stop its software, for the first reason that is given (domain_shutdown). The vcpus stay online."""
        if self.shutdown is None:
            self.shutdown = int(reason)
