# SPDX-License-Identifier: MIT
"""The xen_version hypercall, which everybody may make (common/kernel.c)."""

from __future__ import annotations

import errno
from typing import Tuple

from xenvcpu.abi.xen_version import EXTRAVERSION_SIZE, XENVER_EXTRAVERSION, XENVER_VERSION
from xenvcpu.model.answer import Refused
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.rules.release import TIP

HYPERCALL = 17
_CAPABILITIES, _CHANGESET = 3, 4
_TEXTS = {_CAPABILITIES: (1024, "xen-3.0-x86_64 hvm-3.0-x86_64"), _CHANGESET: (64, "model")}


def answer(host: Hypervisor, cmd: int) -> Tuple[int, bytes]:
    """The result of one command, and what it writes to its argument.

    The tip of a stable branch has no point number here, so that a reader takes it for the tip.

    Raises:
        Refused: ENOSYS for a command that the model has not.
    """
    host.begin("xen_version")
    if cmd == XENVER_VERSION:
        return 4 << 16 | host.release.minor, b""
    if cmd == XENVER_EXTRAVERSION:
        text = "" if host.release.point == TIP else f".{host.release.point}"
        return 0, text.encode().ljust(EXTRAVERSION_SIZE, b"\0")
    if cmd in _TEXTS:
        size, text = _TEXTS[cmd]
        return 0, text.encode().ljust(size, b"\0")
    raise Refused(errno.ENOSYS)
