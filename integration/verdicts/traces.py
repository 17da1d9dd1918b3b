# SPDX-License-Identifier: MIT
"""Sequences of calls on one domain, and what is to be seen after each: the same on Xen and on its model.

A step is a list: what is done, to which vcpus, and whether the context is a good one. The boot vcpu does the
guest's own calls, so it stays up, and none is made while the domain is paused, nor after it was destroyed.
``machine`` makes the sequences.
"""

from __future__ import annotations

import errno
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from integration.guest import layout
from xenvcpu import encoding
from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.api import flat32
from xenvcpu.errors import HypercallError, NoSuchDomainError, NoSuchVcpuError
from xenvcpu.ports.dom0 import Dom0Port

Step = List[Any]
VCPUS = 4
MISSING = 9
"""No vcpu of the domain has this number."""
_COMMANDS: Dict[str, int] = {"initialise": 0, "up": 1, "down": 2, "is_up": 3}
_PARKED = flat32(layout.PARK, 0x500000).replace(rflags=0x202)
_CONTEXT = encoding.to_vcpu_hvm_context(_PARKED)
_RECORD = encoding.to_cpu_record(_PARKED)


class Seen(NamedTuple):
    """What is to be seen after a step.

    Attributes:
        errno: What the call answered; positive also for ``is_up``.
        online: The vcpus that are up.
        initialised: Those that are initialised.
        saved: Those with a CPU record in a save.
        is_paused: Whether a toolstack holds the domain paused.
        shutdown: Why it is shut down, if it is.
        is_there: Whether there is such a domain.
    """

    errno: int
    online: List[int]
    initialised: List[int]
    saved: List[int]
    is_paused: bool
    shutdown: Optional[int]
    is_there: bool = True


class Bench(NamedTuple):
    """A domain on Xen or on its model.

    Attributes:
        port: The way in from dom0.
        domid: The domain.
        vcpu_op: Has the boot vcpu do a VCPUOP: command, vcpu, argument; returns Xen's answer.
        destroy: Destroys the domain, and returns when it is gone.
    """

    port: Dom0Port
    domid: int
    vcpu_op: Callable[[int, int, bytes], int]
    destroy: Callable[[], None]

    def run(self, steps: Sequence[Step]) -> List[Seen]:
        """Does a sequence, and returns what was to be seen after each of its steps."""
        return [self.do(step) for step in steps]

    def do(self, step: Step) -> Seen:
        """Does one step."""
        return self._look(self._do(*step))

    def _do(self, verb: str, vcpuids: Sequence[int] = (), is_good: bool = True) -> int:
        if verb in _COMMANDS:
            context = _CONTEXT if is_good else _CONTEXT.with_values(cs_ar=0)
            return abs(self.vcpu_op(_COMMANDS[verb], vcpuids[0], context.pack()))
        vcpuid = vcpuids[0] if vcpuids else 0
        calls: Dict[str, Callable[[], object]] = {
            "pause": lambda: self.port.pause(self.domid), "unpause": lambda: self.port.unpause(self.domid),
            "reset": lambda: self.port.reset_vcpu(self.domid, vcpuid), "load": lambda: self._load(vcpuids, is_good),
            "save": self._saved, "info": lambda: self.port.vcpu(self.domid, vcpuid), "destroy": self.destroy,
            "context": lambda: self.port.is_initialised(self.domid, vcpuid),
        }
        try:
            calls[verb]()
        except HypercallError as error:
            return error.errno or -1
        except NoSuchDomainError:
            return errno.ESRCH
        except NoSuchVcpuError:
            return errno.ENOENT
        return 0

    def _is_there(self) -> bool:
        try:
            self.port.domain(self.domid)
        except NoSuchDomainError:
            return False
        return True

    def _saved(self) -> Dict[int, Record]:
        stream = self.port.read_context(self.domid, self.port.context_buffer(self.domid))
        return save_stream.by_vcpu(save_stream.split(stream).records, Typecode.CPU)

    def _load(self, vcpuids: Sequence[int], is_good: bool) -> None:
        """The boot vcpu's record as it is, then one for each vcpu given; the last one may be bad."""
        images = [_RECORD] * len(vcpuids)
        if not is_good:
            images[-1] = _RECORD.with_values(cr0=0)
        kept = [self._saved()[0]] if self._is_there() else []
        new = [Record(Typecode.CPU, vcpuid, image.pack()) for vcpuid, image in zip(vcpuids, images)]
        self.port.load_context(self.domid, save_stream.join((save_stream.header(), *kept, *new, save_stream.END)))

    def _look(self, number: int) -> Seen:
        if not self._is_there():
            return Seen(number, [], [], [], False, None, False)
        info = self.port.domain(self.domid)
        return Seen(
            number, [v for v in range(VCPUS) if self.port.vcpu(self.domid, v)["online"]],
            [v for v in range(VCPUS) if self.port.is_initialised(self.domid, v)], sorted(self._saved()),
            info.is_paused, info.shutdown_reason,
        )
