# SPDX-License-Identifier: MIT
"""A snapshot of one vcpu, as `xenvcpu list` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from xenvcpu.abi.registers import AR_DB, AR_L, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFLAGS_VM
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_info import Runstate

_LETTERS: Mapping[str, str] = {
    Runstate.running.name: "r--", Runstate.runnable.name: "---",
    Runstate.blocked.name: "-b-", Runstate.offline.name: "--p",
}


@dataclass(frozen=True)
class VcpuState:
    """One vcpu at one moment. None is "cannot be known from here".

    Attributes:
        vcpuid: Its number.
        is_online: Xen's "up": not down.
        is_initialised: Whether it has a first state; None in a guest where Xen wants a vcpu_info first.
        runstate: `running`, `runnable`, `blocked` or `offline`.
        mode: `real16`, `prot16`, `flat32`, `pae32`, `compat32`, `long64` ..., as it runs now.
        rip: Instruction pointer.
        cpu: The physical cpu it ran on last.
        cpu_time: How long it has run, in ns.
    """

    vcpuid: int
    is_online: bool
    is_initialised: Optional[bool]
    runstate: str
    mode: Optional[str] = None
    rip: Optional[int] = None
    cpu: Optional[int] = None
    cpu_time: Optional[int] = None

    @property
    def letters(self) -> str:
        """The state as `xl vcpu-list` writes it, `r--`, `-b-`, `--p`."""
        return _LETTERS.get(self.runstate, self.runstate)

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as `--json` prints it."""
        return {
            "vcpuid": self.vcpuid, "online": self.is_online, "initialised": self.is_initialised,
            "state": self.runstate, "mode": self.mode, "rip": None if self.rip is None else hex(self.rip),
            "cpu": self.cpu, "cpu_time": self.cpu_time,
        }


def mode_name(record: Image) -> str:
    """The mode that a CPU record's vcpu runs in, under the name of the preset that starts it.

    SDM volume 3A, 2.2 and 4.1.1.
    """
    code = record["cs_arbytes"]
    width = 32 if code & AR_DB else 16
    if not record["cr0"] & CR0_PE:
        return f"real{width}"
    if record["rflags"] & EFLAGS_VM:
        return "vm86"
    if record["msr_efer"] & EFER_LMA:
        return "long64" if code & AR_L else f"compat{width}"
    if not record["cr0"] & CR0_PG:
        return f"flat{width}"
    return f"{'pae' if record['cr4'] & CR4_PAE else 'paged'}{width}"
