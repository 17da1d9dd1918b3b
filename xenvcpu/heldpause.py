# SPDX-License-Identifier: MIT
"""The pause under which a domain is changed: taken, given back however it ends, and what is told if that fails."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import Iterator, List, Tuple

from xenvcpu import pausing
from xenvcpu.deadline import Deadline
from xenvcpu.errors import ChangeError, DomainChangedError, NoSuchDomainError, XenVcpuError
from xenvcpu.heldsignals import held_signals
from xenvcpu.keeper import Keeper
from xenvcpu.left import DONE

_STOLEN = "domain {} was unpaused by somebody else meanwhile: its vcpus may have run on, and have been set back"


@contextmanager
def held_pause(keeper: Keeper, domid: int, deadline: Deadline) -> Iterator[List[str]]:
    """Hold one pause on a domain; it is given back however the block ends.

    A signal in between would leave half of the vcpus down: it waits until the pause is over.

    Yields:
        What gets, after the block, a sentence about what went wrong with the unpause and was mended.
    """
    notes: List[str] = []
    with held_signals() as signals:
        keeper.pause(domid, deadline, signals.is_due)
        try:
            yield notes
        except BaseException as error:
            _unpause_after(keeper, domid, error)
            raise
        notes += _unpause(keeper, domid)


def _unpause_after(keeper: Keeper, domid: int, error: BaseException) -> None:
    """Unpause a domain when something went wrong: that says more, but a domain that stays paused is told with it."""
    try:
        keeper.unpause(domid)
    except XenVcpuError as refusal:
        if pausing.number_of(refusal) == errno.ESRCH:
            return
        is_stolen = pausing.number_of(refusal) == errno.EINVAL
        if is_stolen and getattr(error, "restored", None) is None:
            return  # nothing was touched
        left = (_STOLEN.format(domid),) if is_stolen else _still_paused(domid, refusal)
        if not isinstance(error, XenVcpuError):
            failure = ChangeError(f"{left[0]}, after {type(error).__name__}", domid=domid, restored=False)
            failure.left = left
            raise failure from error
        error.restored, error.left = False, (*error.left, *left)


def _unpause(keeper: Keeper, domid: int) -> Tuple[str, ...]:
    try:
        return keeper.unpause(domid)
    except NoSuchDomainError:
        raise
    except XenVcpuError as refusal:
        if pausing.number_of(refusal) != errno.EINVAL:
            refusal.restored, refusal.left = False, (DONE, *_still_paused(domid, refusal))
            raise
        error = DomainChangedError(_STOLEN.format(domid), domid=domid)
        error.restored, error.left = False, (DONE,)
        raise error from refusal


def _still_paused(domid: int, refusal: XenVcpuError) -> Tuple[str, ...]:
    return refusal.left or (f"domain {domid} is still paused: `xl unpause {domid}`",)
