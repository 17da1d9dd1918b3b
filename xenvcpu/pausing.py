# SPDX-License-Identifier: MIT
"""Taking and giving back one pause, also when Xen's answer is lost: Xen counts pauses, and shows no counts."""

from __future__ import annotations

import errno
import time
from typing import List, Optional, Tuple

from xenvcpu.errors import ChangeError, XenVcpuError
from xenvcpu.ports.dom0 import Dom0Port

_ATTEMPTS = 3
_BETWEEN = 0.01
_UNCERTAIN = frozenset((errno.EINTR, errno.EIO))
"""What may be answered when Xen has done the call. All else is a refusal, EFAULT too: nothing is copied out."""
_FINAL = frozenset((errno.EINVAL, errno.ESRCH))


def answer_lost(domid: int, answer: object) -> ChangeError:
    """The error for a call of which Xen's answer does not tell whether it was done."""
    return once_too_often(domid, f"Xen's answer was lost ({answer})")


def once_too_often(domid: int, why: str) -> ChangeError:
    """The error for a pause of which nobody can tell whether it is held."""
    text = (
        f"{why}, and somebody else holds domain {domid} paused too: it may be held once too often; when it shall run"
        " and does not, `xl unpause` it once more"
    )
    error = ChangeError(text, domid=domid, restored=False)
    error.left = (f"domain {domid} is paused, and may be held once too often",)
    return error


def number_of(error: XenVcpuError) -> int:
    """The errno of an error; 0 for one that has none."""
    if isinstance(error, LookupError):
        return errno.ESRCH
    return (error.errno or 0) if isinstance(error, OSError) else 0


def take(port: Dom0Port, domid: int, *, was_paused: bool) -> None:
    """Take one pause.

    Args:
        port: Where.
        domid: The domain.
        was_paused: Whether somebody else held one just before.

    Raises:
        ChangeError: It cannot be told whether it is held.
        XenVcpuError: It is not.
    """
    try:
        port.pause(domid)
    except BaseException as error:
        if not _is_unsure(error):
            raise
        if was_paused:
            raise answer_lost(domid, error) from error
        if not port.domain(domid).is_paused:
            raise
        if not isinstance(error, XenVcpuError):
            give_back(port, domid, was_paused=False)
            raise


def _is_unsure(error: BaseException) -> bool:
    """Whether Xen may have done a call all the same."""
    return not isinstance(error, XenVcpuError) or number_of(error) in _UNCERTAIN


def give_back(port: Dom0Port, domid: int, *, was_paused: bool) -> Tuple[str, ...]:
    """Give one pause back; what fails is tried again.

    Args:
        port: Where.
        domid: The domain.
        was_paused: Whether somebody else held one when ours was taken.

    Returns:
        A sentence about what failed before, if anything did.

    Raises:
        NoSuchDomainError: The domain is gone.
        HypercallError: EINVAL: somebody else has given it back.
        ChangeError: It cannot be told whether it is held.
        XenVcpuError: It is held still.
    """
    interrupt: Optional[BaseException] = None
    failed: List[BaseException] = []
    for attempt in range(_ATTEMPTS):
        try:
            port.unpause(domid)
            break
        except BaseException as error:
            failed.append(error)
            interrupt = interrupt if isinstance(error, XenVcpuError) else error
            if _is_unsure(error):
                if was_paused:
                    raise answer_lost(domid, error) from error
                if not port.domain(domid).is_paused:
                    break
            if attempt + 1 == _ATTEMPTS or isinstance(error, XenVcpuError) and number_of(error) in _FINAL:
                raise
        time.sleep(_BETWEEN)
    if interrupt is not None:
        raise interrupt
    return (f"the unpause of domain {domid} was done, but not at the first try: {failed[-1]}",) if failed else ()
