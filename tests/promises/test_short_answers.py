# SPDX-License-Identifier: MIT
"""Answers that are shorter than they should be: a save stream that is cut anywhere, a buffer that is too small."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Iterator, List, Sequence

import pytest
from promises.conftest import Count
from promises.injections import Fault
from promises.operations import CHANGES, FEW, LOOKS, Case, cases
from promises.programs import done, ending, named, runs
from promises.tally import Tally
from promises.verdicts import judge

from xenvcpu._xen import ffi
from xenvcpu.abi import save_stream
from xenvcpu.model.faults import Answer, RealCall
from xenvcpu.model.libraries import Call, ModelLibraries

pytestmark = pytest.mark.usefixtures("no_sleep")
READ = "xc_domain_hvm_getcontext"
_JUNK = 0xA5


def cuts(stream: bytes) -> Iterator[int]:
    """Every place before the end where a record ends, and the middle of every record."""
    position = 0
    for record in save_stream.split(stream).records:
        end = position + 8 + len(record.payload)
        yield from (position, (position + end) // 2)
        position = end


def is_read(call: Call) -> bool:
    return call.name == READ and call.arguments[3] != 0


def _cut(at: int) -> Callable[[RealCall], Any]:
    """The stream ends early; behind its end, memory holds what it held."""

    def answer(call: RealCall) -> Any:
        length = call()
        ffi.memmove(call.arguments[2] + at, bytes((_JUNK,)) * (length - at), length - at)
        return at

    return answer


def _sized(divisor: int) -> Callable[[RealCall], Any]:
    """Xen is asked how large a stream may be, and says less than it is."""
    return lambda call: call() // divisor if divisor else 0


def _streams(case: Case) -> List[bytes]:
    """What each read of the operation answers, in order."""
    found: List[bytes] = []

    def noting(call: RealCall) -> Any:
        length = call()
        if call.arguments[3]:
            found.append(bytes(ffi.buffer(call.arguments[2], length)))
        return length

    def arm(libraries: ModelLibraries) -> None:
        for _ in range(sum(call.name == READ for call in done(case).calls)):
            libraries.fail(READ, noting)

    next(runs(case, [Fault("none", arm)]))
    return found


def _faults(case: Case) -> Iterator[Fault]:
    def fault(name: str, answer: Answer, nth: int) -> Fault:
        return Fault(f"{READ}[{nth}]: {name}", lambda libraries: libraries.fail(READ, answer, nth))

    streams = iter(_streams(case))
    reads: Sequence[Call] = [call for call in done(case).calls if call.name == READ]
    for nth, call in enumerate(reads):
        if is_read(call):
            yield from (fault(f"cut at {at}", _cut(at), nth) for at in cuts(next(streams)))
        else:
            yield from (fault(f"a size divided by {divisor}", _sized(divisor), nth) for divisor in (0, 2, 64))


OPERATIONS = [CHANGES[1], CHANGES[4], CHANGES[6], *LOOKS[2:4]]


@pytest.mark.parametrize("case", cases(OPERATIONS, FEW), ids=str)
def test_a_stream_that_is_cut_is_never_taken_for_a_whole_one(case: Case, count: Count) -> None:
    faults, tally, spent = list(_faults(case)), Tally("answers"), named(case, case.operation.starts)
    for fault, found in zip(faults, runs(case, faults)):
        assert found.error is not None, fault.name
        tally.take(fault.name, partial(judge, ending(case, found), spent=spent))
    count("short answers", tally)
