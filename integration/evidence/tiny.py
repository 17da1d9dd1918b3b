# SPDX-License-Identifier: MIT
"""The tiny guest as dom0 handles it: its beat, its hypercalls, its stubs."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from integration.evidence import host, xl
from integration.evidence.domain import StubbedDomain
from integration.evidence.stubs import StubArea, await_true
from integration.evidence.tinymemory import TinyMemory
from integration.guest import build, layout

_START_LIMIT = 60.0
_VCPU_OP = 24
_NOWHERE = 0xFFFFF000


def image(scratch: Path) -> Path:
    """Returns the directory of the assembled guest: the one that the lab brought, or `scratch`."""
    given = os.environ.get(host.TINY_VARIABLE)
    if given:
        return Path(given)
    build.assemble(scratch)
    return scratch


@dataclass(frozen=True)
class Watch:
    """What the boot vcpu noticed about its own registers.

    Attributes:
        rounds: Rounds of the check that ended well.
        errors: Rounds in which a register had changed.
        last: The register that changed last, ``none`` if none did.
        tsc_back: Times that the TSC went backwards.
    """

    rounds: int
    errors: int
    last: str
    tsc_back: int


class TinyGuest(StubbedDomain, TinyMemory):
    """A PVH domain whose boot vcpu counts beats and does hypercalls for dom0.

    Args:
        image: Directory of the assembled guest.
        vcpus: Number of vcpus; only the boot vcpu runs at first.
        memory: MiB.
        options: Further settings of the domain's configuration.
    """

    def __init__(
        self, image: Path, vcpus: int = 4, memory: int = 64, **options: xl.ConfigValue
    ) -> None:
        config = {
            **self._boots(image),
            "memory": memory,
            "vcpus": vcpus,
            "maxvcpus": vcpus,
            **options,
        }
        super().__init__("tiny", config, layout.TABLES)
        self.vcpus = vcpus
        self.stubs = StubArea(
            self.memory,
            image,
            layout.STUBS,
            low=layout.LOW_STUBS,
            clock=layout.MAILBOX + layout.MB_NOW,
        )
        try:
            await_true(self._alive, f"{self.name} did not start to beat", _START_LIMIT)
        except BaseException:
            self.destroy()
            raise

    def _boots(self, image: Path) -> Dict[str, xl.ConfigValue]:
        """Returns the settings that say what kind of domain it is, and how it gets its kernel."""
        return {"type": "pvh", "kernel": str(image / build.KERNEL)}

    def follow_reboot(self) -> None:
        """Waits until the domain is back under another domid, and beats."""
        old = self.domid

        def is_back() -> bool:
            try:
                self.domid = xl.domid(self.name)
            except xl.XlError:
                return False
            return self.domid != old

        await_true(is_back, f"{self.name} did not come back", _START_LIMIT)
        self.memory.domid = self.domid
        self._tables = None
        await_true(self._beats_yet, f"{self.name} did not beat again", _START_LIMIT)

    def hypercall(self, op: int, *arguments: int, timeout: float = 30.0) -> int:
        """Lets the boot vcpu do a hypercall and returns its result.

        Args:
            op: Number of the hypercall.
            arguments: At most five, 32 bits each.
            timeout: Limit in seconds for the answer.

        Returns:
            What Xen answered; negative is an errno.
        """
        sequence = self.ask(op, *arguments)
        await_true(
            lambda: self._field(layout.MB_RESPONSE) == sequence,
            f"{self.name} did not answer hypercall {op}",
            timeout,
        )
        result = self._field(layout.MB_RESULT)
        return result - (1 << 32) if result >> 31 else result

    def vcpu_op(self, command: int, vcpuid: int, data: bytes = b"") -> int:
        """Lets the boot vcpu do a VCPUOP.

        Args:
            command: Number of the operation.
            vcpuid: The vcpu that it is about.
            data: What its pointer points to; empty for a null pointer.
        """
        if data:
            self.memory.write(layout.ARGUMENT, data)
        return self.hypercall(_VCPU_OP, command, vcpuid, layout.ARGUMENT if data else 0)

    def vcpu_ops(self, calls: Sequence[Tuple[int, int, Optional[bytes]]]) -> List[int]:
        """Lets the boot vcpu do VCPUOPs one after the other, and returns their results.

        Args:
            calls: Command, vcpu, and what the pointer points to; None for a pointer to nowhere.
        """
        assert 0 < len(calls) <= layout.BATCH_MOST
        entries = bytearray()
        for command, vcpuid, data in calls:
            argument = layout.BATCH + len(entries) + layout.BATCH_HEAD
            pointer = _NOWHERE if data is None else argument
            entry = struct.pack("<IIII", command, vcpuid, pointer, 0) + (data or b"")
            entries += entry.ljust(layout.BATCH_STRIDE, b"\0")
        self.memory.write(layout.BATCH, bytes(entries))
        self.hypercall(layout.BATCH_OP, len(calls), timeout=60.0)
        done = self.memory.read(layout.BATCH, len(entries))
        return [struct.unpack_from("<i", done, at + 12)[0] for at in range(0, len(done), layout.BATCH_STRIDE)]

    def watch_registers(self, on: bool = True) -> None:
        """Lets the boot vcpu watch its registers, or no more."""
        self._set(layout.MB_CHECK, int(on))

    def watch(self) -> Watch:
        """Returns what the boot vcpu noticed so far."""
        last = self._field(layout.MB_LAST_ERROR)
        return Watch(
            rounds=self._field(layout.MB_CHECKS),
            errors=self._field(layout.MB_ERRORS),
            last=layout.ERROR_NAMES.get(last, str(last)),
            tsc_back=self._field(layout.MB_TSC_BACK),
        )
