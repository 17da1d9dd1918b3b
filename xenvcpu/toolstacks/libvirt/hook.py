# SPDX-License-Identifier: MIT
"""What runs when libvirt has started a domain: `hooks/libxl.d/xenvcpu NAME started begin -`, with its XML on stdin.

libvirt waits for it with the domain locked, so that it must not ask libvirt anything: it would wait for itself.
The domain runs by then, unless it was started paused. In the default manner whatever goes wrong leaves
the domain as libvirt started it; an exit code other than 0 makes libvirt destroy it.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import BinaryIO, Sequence

from xenvcpu.systemlog import SOCKET
from xenvcpu.toolstacks.libvirt.log import ERROR, INFO, WARNING, Log
from xenvcpu.toolstacks.libvirt.namespace import FAMILY, MAX_SIZE

OPERATION = ("started", "begin")
IDENT = "xenvcpu-hook"
LIMIT = 90
"""Seconds until the hook is killed; the guard then puts back what was being changed."""


def main(host: str, strict: bool, arguments: Sequence[str]) -> int:
    """The hook's exit code.

    Args:
        host: The `--host` spec.
        strict: Whether a failure ends the domain.
        arguments: As libvirt gives them: name, operation, suboperation, extra.
    """
    if tuple(arguments[1:3]) != OPERATION:
        return 0
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIMIT)
    return run(host, strict, sys.stdin.buffer, Log(IDENT, SOCKET))


def run(host: str, strict: bool, stdin: BinaryIO, log: Log) -> int:
    """As `main`, for an operation that matters."""
    name = "a domain"
    try:
        data = stdin.read(MAX_SIZE + 1)
        if FAMILY.encode() not in data:
            return 0  # most domains: nothing more is imported for them
        from xenvcpu.deadline import Patience
        from xenvcpu.host import open_host
        from xenvcpu.toolstacks import firmware
        from xenvcpu.toolstacks.libvirt import metadata
        from xenvcpu.toolstacks.libvirt.begin import HOOK_PATIENCE, begin, sentence

        found = metadata.read_domain(data)
        # Of the domain's own XML: the argument is not escaped for a log either.
        name = f"domain {found.name} ({found.uuid})"
        if found.declaration is None:
            return 0
        if found.has_firmware:
            raise firmware.refusal(found.name)
        with open_host(host, Patience(HOOK_PATIENCE)) as opened:
            change = begin(opened, found.uuid, found.declaration)
        log.write(INFO, f"{name}: {sentence(change)}")
        return 0
    except Exception as error:  # whatever it is, the domain is libvirt's to keep
        with suppress(Exception):
            what = str(error) if _is_ours(error) else f"{type(error).__name__}: {error}"
            end = "libvirt ends the domain (--strict)" if strict else "it runs without its declared vcpus"
            log.write(ERROR if strict else WARNING, f"{name}: {what}; {end}")
            for line in getattr(error, "left", ()):
                log.write(ERROR, f"{name}: {line}")
        return int(strict)


def _is_ours(error: Exception) -> bool:
    from xenvcpu.errors import XenVcpuError

    return isinstance(error, XenVcpuError)
