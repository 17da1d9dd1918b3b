# SPDX-License-Identifier: MIT
"""What goes wrong on purpose: one call, the whole library, or the program itself.

All of it is per `ModelLibraries`, that is per process. Several of these may stand before one
`Hypervisor` object: then one can vanish or be killed, and the others see what it has left.
"""

from __future__ import annotations

import collections
import difflib
import errno
from typing import (
    TYPE_CHECKING, Any, Callable, Collection, Deque, Dict, Mapping, NamedTuple, Optional, Tuple, Union,
)

from xenvcpu.model.answer import Refused
from xenvcpu.model.vcpuop import HYPERCALL, Op

if TYPE_CHECKING:
    from xenvcpu.model.standin import Prototype


class Killed(BaseException):
    """The program was killed here (SIGKILL): nothing that it would still do has an effect."""


class RealCall(NamedTuple):
    """A C call that a fault stands in the way of. Call it to make it.

    It returns what the C function would; where that would fail, it raises `Refused`.

    Attributes:
        arguments: Its C arguments.
        make: What makes it, with no arguments.
    """

    arguments: Tuple[Any, ...]
    make: Callable[[], Any]

    def __call__(self) -> Any:
        return self.make()


_Answer = Union[int, BaseException, Callable[[RealCall], Any]]
Answer = Union[_Answer, str]
"""What a call is made to answer; a text is the name of an errno."""

_VCPUOP = "VCPUOP_"
_VCPUOPS = tuple(f"{_VCPUOP}{op.name}" for op in Op)
SHORT_NAMES: Mapping[str, str] = {
    "setcontext": "xc_domain_hvm_setcontext", "getcontext": "xc_domain_hvm_getcontext",
    "getcontext_partial": "xc_domain_hvm_getcontext_partial", "reset": "xc_vcpu_setcontext",
    "pause": "xc_domain_pause", "unpause": "xc_domain_unpause", "getdomaininfo": "xc_domain_getinfolist",
    "getdomaininfo_single": "xc_domain_getinfo_single",
    "getvcpuinfo": "xc_vcpu_getinfo", "getvcpucontext": "xc_vcpu_getcontext", "console": "xc_readconsolering",
    "version": "xc_version", "open": "xc_interface_open", "map": "xenforeignmemory_map", "xenstore": "xs_read",
    "sethvmcontext": "xc_domain_hvm_setcontext", "gethvmcontext": "xc_domain_hvm_getcontext",
    "gethvmcontext_partial": "xc_domain_hvm_getcontext_partial", "setvcpucontext": "xc_vcpu_setcontext",
    "pausedomain": "xc_domain_pause", "unpausedomain": "xc_domain_unpause",
    "getdomaininfolist": "xc_domain_getinfolist", "readconsole": "xc_readconsolering",
    "initialise": "VCPUOP_initialise", "up": "VCPUOP_up", "down": "VCPUOP_down", "is_up": "VCPUOP_is_up",
}
"""What `Faults.fail` also calls a function: a guest's VCPUOPs, which all go through `xencall3`, and those of libxenctrl
by what they ask of Xen, shortly or by Xen's own name for it."""


class _Fault(NamedTuple):
    answer: _Answer
    after: int
    log: str


class _Death(NamedTuple):
    at: int
    is_before: bool


def _errno(given: Union[int, str]) -> int:
    """An errno by its number or its name.

    Raises:
        ValueError: It is none.
    """
    number = getattr(errno, given, None) if isinstance(given, str) else given
    if not isinstance(number, int) or number not in errno.errorcode:
        raise ValueError(f"{given!r} is no errno: give a number such as errno.ENOMEM, or 'ENOMEM'")
    return number


def _checked(answer: Answer) -> _Answer:
    if isinstance(answer, (int, str)):
        return _errno(answer)
    if isinstance(answer, type) or not (callable(answer) or isinstance(answer, BaseException)):
        raise TypeError(f"a call fails with an errno, an exception (not its class) or a function, not {answer!r}")
    return answer


def answer_lost(number: int) -> Callable[[RealCall], Any]:
    """For `fail`: the call has its effect, and fails with this errno all the same."""

    def answer(call: RealCall) -> Any:
        call()
        raise Refused(number)

    return answer


class Faults:
    """The faults of one process.

    Attributes:
        is_killed: Whether the process is dead.
    """

    def __init__(self) -> None:
        self.is_killed = False
        self._made = 0
        self._faults: Dict[str, Deque[_Fault]] = collections.defaultdict(collections.deque)
        self._vanished: Optional[Tuple[int, int]] = None
        self._death: Optional[_Death] = None

    def fail(self, function: str, answer: Answer, after: int = 0, *, log: str = "") -> None:
        """Make a coming call of a C function fail, once, with no effect on the host.

        Args:
            function: Its name, such as `xc_domain_pause`; or a VCPUOP, such as `VCPUOP_up`; or one of `SHORT_NAMES`.
            answer: The errno to fail with, or its name (`"ENOMEM"`); or an exception to raise out of it, as a signal
                would (`KeyboardInterrupt()`); or what is called with the `RealCall` and answers in its place. That
                may make the call or not, return another value (`lambda call: call() - 8`), or raise `Refused`.
            after: How many more calls of it go well before.
            log: What the library logs when it fails.

        Raises:
            ValueError: There is no such function: the fault would never come; or no such errno.
            TypeError: The answer is none of these.
        """
        name = SHORT_NAMES.get(function, function)
        if name not in (*self.functions, *_VCPUOPS):
            close = difflib.get_close_matches(function, (*SHORT_NAMES, *self.functions, *_VCPUOPS), 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"no library has a function {function!r}{meant}")
        self._faults[name].append(_Fault(_checked(answer), after, log))

    @property
    def unreached(self) -> Tuple[str, ...]:
        """The faults that have not come yet, in words: of a test that has ended, those that it did not test."""
        waiting = [
            f"{name} ({'the next call of it' if fault.after == 0 else f'after {fault.after} more calls of it'})"
            for name, faults in self._faults.items() for fault in faults
        ]
        if self._death is not None and not self.is_killed:
            waiting.append(f"a kill in {self._death.at - self._made} calls")
        if self._vanished is not None and self._made <= self._vanished[1]:
            waiting.append(f"libraries that vanish after {self._vanished[1] - self._made} more calls")
        return tuple(waiting)

    def clear(self) -> None:
        """Take back every fault that has not come yet."""
        self._faults.clear()
        self._death = None
        self._vanished = None

    @property
    def functions(self) -> Collection[str]:
        """The C functions of all stand-ins, by name."""
        from xenvcpu.model.standin import StandIn

        return [name for library in StandIn.__subclasses__() for name in library.prototypes()]

    def vanish(self, number: Union[int, str] = errno.EBADF, after: int = 0) -> None:
        """Let the libraries lose Xen for good: each call on a handle fails with no effect.

        What closes, frees or unmaps still works, so that nothing leaks; so does opening, which takes no handle.

        Args:
            number: The errno to fail with, or its name.
            after: How many more C calls, of all libraries together, go well before.
        """
        self._vanished = _errno(number), self._made + after

    def kill(self, at: int = 1, when: str = "before") -> None:
        """Kill the program in a coming C call: that raises `Killed`, and so does every later one, with no effect.

        What closes, frees or unmaps has no effect either, but raises only if it is the call of the kill: the kernel
        takes back what a dead process had open.

        Args:
            at: Which C call, of all libraries together; 1 is the next.
            when: `before` the call has its effect, or `after`.

        Raises:
            ValueError: Not a coming call, or neither before nor after.
        """
        if at < 1 or when not in ("before", "after"):
            raise ValueError(f"cannot kill {when!r} call {at}: before or after one from 1 on")
        self._death = _Death(self._made + at, when == "before")

    # What follows is for the stand-ins.

    def answer(self, function: Prototype, call: RealCall) -> Any:
        """What a C call answers: by itself, or by the fault whose turn it is.

        Raises:
            Refused: The errno to fail with.
            Killed: The process dies here, or is dead.
        """
        if self.is_killed:
            if function.gives_back:
                return 0
            raise Killed(function.name)
        self._made += 1
        death = self._death if self._death is not None and self._death.at == self._made else None
        if death is not None and death.is_before:
            self._die(function)
        try:
            return self._answer(function, call)
        finally:
            if death is not None:
                self._die(function)

    def _die(self, function: Prototype) -> None:
        self.is_killed = True
        raise Killed(function.name)

    def _answer(self, function: Prototype, call: RealCall) -> Any:
        if self._vanished is not None and function.takes_handle and not function.gives_back:
            number, after = self._vanished
            if self._made > after:
                raise Refused(number)
        fault = self._due(function.name) or self._due(_vcpuop(function.name, call.arguments))
        if fault is None:
            return call()
        if isinstance(fault.answer, int):
            raise Refused(fault.answer, fault.log)
        if isinstance(fault.answer, BaseException):
            raise fault.answer
        try:
            return fault.answer(call)
        except Refused as refusal:
            raise Refused(refusal.errno, fault.log or refusal.log) from refusal

    def _due(self, name: str) -> Optional[_Fault]:
        waiting = self._faults.get(name)
        if not waiting:
            return None
        fault = waiting.popleft()
        if fault.after:
            waiting.appendleft(fault._replace(after=fault.after - 1))
            return None
        return fault


def _vcpuop(function: str, arguments: Tuple[Any, ...]) -> str:
    """The VCPUOP that a call of a function is; empty for any other."""
    is_one = function.startswith("xencall") and len(arguments) > 2 and arguments[1] == HYPERCALL
    known = is_one and arguments[2] in list(Op)
    return f"{_VCPUOP}{Op(arguments[2]).name}" if known else ""
