# SPDX-License-Identifier: MIT
"""Faults: every way in which one C call can go wrong."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional, Sequence

from promises.errnos import EFFECTIVE, ERRNOS, LOST

from xenvcpu._xen import ffi
from xenvcpu.model.answer import Refused
from xenvcpu.model.faults import Answer, RealCall, answer_lost
from xenvcpu.model.libraries import Call, ModelLibraries


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: What goes wrong, for people.
        arm: Sets it up, just before the calls begin.
        raises: The exceptions that come out of a C call with it.
    """

    name: str
    arm: Callable[[ModelLibraries], None]
    raises: Sequence[type] = ()


def _raised(error: BaseException, *, after: bool) -> Callable[[RealCall], Any]:
    def answer(call: RealCall) -> Any:
        if after:
            call()
        raise error

    return answer


def _no_domain(call: RealCall) -> int:
    return 0


def _another_domain(call: RealCall) -> Any:
    """The next domain instead of the one that was asked for, as Xen's list answers when that is gone."""
    count = call()
    ffi.cast("uint16_t *", call.arguments[3])[0] += 1
    return count


def _another_handle(call: RealCall) -> Any:
    """The domid belongs to another domain by now."""
    result = call()
    handle = ffi.cast("uint8_t *", call.arguments[-1]) + 76
    handle[0] ^= 0xFF
    return result


def _gone(call: RealCall) -> int:
    raise Refused(errno.ESRCH)


def _as_result(call: RealCall) -> int:
    """`xc_version` returns some errnos itself, and sets none."""
    return -errno.ENOMEM


def _nothing_printed(call: RealCall) -> Any:
    call()
    call.arguments[2][0] = 0
    return 0


_SHORT: dict[str, Sequence[Callable[[RealCall], Any]]] = {
    "xc_domain_getinfolist": (_no_domain, _another_domain, _another_handle),
    "xc_domain_getinfo_single": (_gone, _another_handle),
    "xc_readconsolering": (_nothing_printed,),
    "xc_version": (_as_result,),
}
"""Answers that are none of failure, and short of what was asked."""


def _answers(function: str, errnos: Optional[Sequence[int]]) -> Iterator[tuple[str, Answer, Sequence[type]]]:
    """What one call of a function can answer instead."""
    for number in ERRNOS[function] if errnos is None else errnos:
        yield errno.errorcode[number], number, ()
    for number in LOST.get(function, ()):
        yield f"{errno.errorcode[number]} when done", answer_lost(number), ()
    for error in (KeyboardInterrupt(), MemoryError()):
        kind = type(error)
        yield kind.__name__, error, (kind,)
        if function in EFFECTIVE:
            yield f"{kind.__name__} when done", _raised(error, after=True), (kind,)
    for short in _SHORT.get(function, ()):
        yield short.__name__.strip("_"), short, ()


def sites(calls: Sequence[Call]) -> Iterator[tuple[str, int, int]]:
    """Each call that may fail, as its function, how many of that function are before it, and its place among all."""
    seen: dict[str, int] = {}
    for place, call in enumerate(calls):
        if call.name in ERRNOS:
            yield call.name, seen.get(call.name, 0), place
        seen[call.name] = seen.get(call.name, 0) + 1


def _arming(function: str, before: int, answer: Answer) -> Callable[[ModelLibraries], None]:
    return lambda libraries: libraries.fail(function, answer, before)


def _vanishing(place: int) -> Callable[[ModelLibraries], None]:
    return lambda libraries: libraries.vanish(errno.EBADF, place)


def single(calls: Sequence[Call], errnos: Optional[Sequence[int]] = None) -> Iterator[Fault]:
    """Every fault of one call, for each call of an operation; of the errnos only those given, if any are."""
    for function, before, _ in sites(calls):
        for name, answer, raises in _answers(function, errnos):
            yield Fault(f"{function}[{before}]: {name}", _arming(function, before, answer), raises)


def vanishing(calls: Sequence[Call]) -> Iterator[Fault]:
    """The libraries lose Xen for good, from each call on."""
    for function, before, place in sites(calls):
        yield Fault(f"{function}[{before}] and all after it: EBADF", _vanishing(place))

