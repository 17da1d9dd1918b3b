# SPDX-License-Identifier: MIT
"""States that Xen has taken, let run on its processor: the vcpu runs, or the domain dies of it."""

from __future__ import annotations

import errno
import time
from typing import Dict, Iterator, List, Sequence

from integration.evidence.tiny import TinyGuest
from integration.verdicts import recipe as names
from integration.verdicts.bases import BASES, ENTRY, LOW_ENTRY, SPIN
from integration.verdicts.recipe import Recipe
from integration.verdicts.store import CRASH, REBOOT, RUNS, STRAYS, WAITS
from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import HypercallError
from xenvcpu.ports.dom0 import Dom0Port

_VCPU = 1
_INITIALISE, _UP = 0, 1
_WHILE = 0.05
_RAN_NS = 5_000_000
_SHUTDOWNS: Dict[int, str] = {1: REBOOT, 3: CRASH}
_REGISTER_DUMP = "----[ "


def prepare(guest: TinyGuest) -> None:
    """Puts code and page tables into a guest."""
    for entry in (ENTRY, LOW_ENTRY):
        guest.write(entry, SPIN)
    guest.page_tables()


def load(port: Dom0Port, domid: int, record: Record) -> int:
    """Loads one record, and returns Xen's errno."""
    try:
        port.load_context(domid, save_stream.join((save_stream.header(), record, save_stream.END)))
    except HypercallError as error:
        return error.errno or errno.EIO
    return 0


def give(port: Dom0Port, guest: TinyGuest, recipe: Recipe) -> int:
    """Gives a vcpu the state, and lets it run if Xen takes it; returns Xen's errno."""
    image = recipe.image(BASES)
    if recipe.interface == names.VCPUOP:
        number = -guest.vcpu_op(_INITIALISE, _VCPU, image.pack())
        return number or -guest.vcpu_op(_UP, _VCPU)
    port.pause(guest.domid)
    number = load(port, guest.domid, Record(Typecode.CPU, _VCPU, image.pack()))
    port.unpause(guest.domid)
    return number


def outcome(port: Dom0Port, domid: int, given: Image) -> str:
    """Looks what becomes of the vcpu."""
    before = port.vcpu(domid, _VCPU)["cpu_time"]
    time.sleep(_WHILE)
    reason = port.domain(domid).shutdown_reason
    if reason is not None:
        return _SHUTDOWNS.get(reason, str(reason))
    if port.vcpu(domid, _VCPU)["cpu_time"] - before < _RAN_NS:
        return WAITS
    now = cpu_record.decode(port.read_record(domid, Typecode.CPU, _VCPU, cpu_record.SIZE))
    rip = given["rip"] if "rip" in given.values else given["eip"]
    return RUNS if now["rip"] == rip else STRAYS


def before_dump(lines: Sequence[str]) -> List[str]:
    """The lines without the registers that follow a crash."""
    return list(_until_dump(lines))


def _until_dump(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith(_REGISTER_DUMP):
            return
        yield line
