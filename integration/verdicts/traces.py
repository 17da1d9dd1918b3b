# SPDX-License-Identifier: MIT
"""Sequences of calls on one domain, and what is to be seen after each: the same on Xen and on its model.

A step is a list: what is done, to which vcpus, and whether the context is a good one. The boot vcpu does the
guest's own calls, so it stays up, and none is made while the domain is paused.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from integration.guest import layout
from xenvcpu import encoding
from xenvcpu.abi import save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.api import flat32
from xenvcpu.errors import HypercallError
from xenvcpu.ports.dom0 import Dom0Port

Step = List[Any]
VCPUS = 4
_OTHERS = range(1, VCPUS)
_COMMANDS: Dict[str, int] = {"initialise": 0, "up": 1, "down": 2, "is_up": 3}
_PARKED = flat32(layout.PARK, 0x500000).replace(rflags=0x202)
_CONTEXT = encoding.to_vcpu_hvm_context(_PARKED)
_RECORD = encoding.to_cpu_record(_PARKED)
LONGEST = 24


class Seen(NamedTuple):
    """What is to be seen after a step.

    Attributes:
        errno: What the call answered; positive also for ``is_up``.
        online: The vcpus that are up.
        initialised: Those that are initialised.
        saved: Those with a CPU record in a save.
        is_paused: Whether a toolstack holds the domain paused.
        shutdown: Why it is shut down, if it is.
    """

    errno: int
    online: List[int]
    initialised: List[int]
    saved: List[int]
    is_paused: bool
    shutdown: Optional[int]


class Bench(NamedTuple):
    """A domain on Xen or on its model.

    Attributes:
        port: The way in from dom0.
        domid: The domain.
        vcpu_op: Has the boot vcpu do a VCPUOP: command, vcpu, argument; returns Xen's answer.
    """

    port: Dom0Port
    domid: int
    vcpu_op: Callable[[int, int, bytes], int]

    def run(self, steps: Sequence[Step]) -> List[Seen]:
        """Does a sequence, and returns what was to be seen after each of its steps."""
        return [self._look(self._do(*step)) for step in steps]

    def _do(self, verb: str, vcpuids: Sequence[int] = (), is_good: bool = True) -> int:
        if verb in _COMMANDS:
            context = _CONTEXT if is_good else _CONTEXT.with_values(cs_ar=0)
            return abs(self.vcpu_op(_COMMANDS[verb], vcpuids[0], context.pack()))
        calls: Dict[str, Callable[[], None]] = {
            "pause": lambda: self.port.pause(self.domid), "unpause": lambda: self.port.unpause(self.domid),
            "reset": lambda: self.port.reset_vcpu(self.domid, vcpuids[0]),
            "load": lambda: self._load(vcpuids, is_good),
        }
        try:
            calls[verb]()
        except HypercallError as error:
            return error.errno or -1
        return 0

    def _saved(self) -> Dict[int, Record]:
        stream = self.port.read_context(self.domid, self.port.context_buffer(self.domid))
        return save_stream.by_vcpu(save_stream.split(stream).records, Typecode.CPU)

    def _load(self, vcpuids: Sequence[int], is_good: bool) -> None:
        """The boot vcpu's record as it is, then one for each vcpu given; the last one may be bad."""
        images = [_RECORD] * len(vcpuids)
        if not is_good:
            images[-1] = _RECORD.with_values(cr0=0)
        new = [Record(Typecode.CPU, vcpuid, image.pack()) for vcpuid, image in zip(vcpuids, images)]
        stream = save_stream.join((save_stream.header(), self._saved()[0], *new, save_stream.END))
        self.port.load_context(self.domid, stream)

    def _look(self, number: int) -> Seen:
        info = self.port.domain(self.domid)
        return Seen(
            number, [v for v in range(VCPUS) if self.port.vcpu(self.domid, v)["online"]],
            [v for v in range(VCPUS) if self.port.is_initialised(self.domid, v)], sorted(self._saved()),
            info.is_paused, info.shutdown_reason,
        )


def _step(random_: random.Random, pauses: int) -> Step:
    verbs = ["reset", "load", "load", "pause" if pauses < 2 else "unpause", "unpause"]
    if not pauses:
        verbs += ["initialise", "initialise", "up", "up", "down", "is_up"] * 2
    verb = random_.choice(verbs)
    if verb in ("pause", "unpause"):
        return [verb]
    if verb == "load":
        return [verb, random_.sample(_OTHERS, random_.randrange(1, VCPUS)), random_.random() < 0.75]
    return [verb, [random_.choice(_OTHERS)], verb != "initialise" or random_.random() < 0.75]


def made(count: int, seed: str) -> Iterator[List[Step]]:
    """So many sequences, the same for the same seed; each leaves the domain as it found it."""
    random_ = random.Random(f"traces {seed}")
    for _ in range(count):
        steps: List[Step] = []
        pauses = 0
        while len(steps) < random_.randrange(LONGEST // 2, LONGEST):
            step = _step(random_, pauses)
            pauses = max(pauses + {"pause": 1, "unpause": -1}.get(step[0], 0), 0)
            steps.append(step)
        yield steps + [["unpause"]] * pauses + [["reset", [vcpuid]] for vcpuid in _OTHERS]
