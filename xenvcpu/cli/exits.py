# SPDX-License-Identifier: MIT
"""Exit codes: one table, which `--help` and the README show."""

from __future__ import annotations

import enum

from xenvcpu.errors import (
    ContextError, ContextFileError, HostError, HypercallError, InterfaceMismatchError, XenVcpuError,
)


class Exit(enum.IntEnum):
    """What the command's exit code means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    XEN = 4
    HOST = 5
    UNREPORTED = 6
    INTERRUPTED = 130
    UNREAD = 141
    TERMINATED = 143


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed: a file, a domain or a vcpu is not what it should be",
    Exit.USAGE: "usage: the command line is wrong",
    Exit.REFUSED: "the context was refused by a rule or a lint, before Xen was asked",
    Exit.XEN: "refused by Xen",
    Exit.HOST: "this host cannot: no library, no privilege, or restricted",
    Exit.UNREPORTED: "done, but the report could not be written; stderr says what was done",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); stderr says when a change was done before",
    Exit.UNREAD: "whoever read the output went away (`| head`); nothing was changed",
    Exit.TERMINATED: "ended by SIGTERM; as with any signal, a change that had begun was brought to an end before",
}


def exit_of(error: XenVcpuError) -> Exit:
    """The exit code for an error."""
    if isinstance(error, (HostError, InterfaceMismatchError)):
        return Exit.HOST
    if isinstance(error, HypercallError):
        return Exit.XEN
    if isinstance(error, ContextError) and error.rule and not isinstance(error, ContextFileError):
        return Exit.REFUSED
    return Exit.FAILED


def table() -> str:
    """The codes and their meanings, one a line."""
    return "\n".join(f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items())
