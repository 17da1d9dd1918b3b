# SPDX-License-Identifier: MIT
"""An error as the command says it: a few lines of text, or one JSON document, on stderr."""

from __future__ import annotations

from contextlib import suppress

import click

from xenvcpu.cli.exits import Exit, exit_of
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.output import print_json, say
from xenvcpu.errors import XenVcpuError
from xenvcpu.failuretext import as_dict, details


def report(error: XenVcpuError, *, is_json: bool) -> Exit:
    """Say what went wrong.

    Returns:
        The exit code.
    """
    code = exit_of(error)
    if is_json:
        print_json({"error": {**as_dict(error), "exit": int(code)}}, err=True)
        return code
    say(f"{PROGRAM}: {error}", err=True)
    for line in details(error):
        say(f"  {line}", err=True)
    return code


def report_os(error: OSError, *, is_json: bool, done: str = "") -> Exit:
    """Say what the system refused: a file that cannot be written, or the report of what was done before.

    Args:
        error: The refusal.
        is_json: Whether as JSON.
        done: What was done before; then the report alone has failed.

    Returns:
        The exit code.
    """
    if isinstance(error, BrokenPipeError) and not done:
        return Exit.UNREAD
    why = ": ".join(filter(None, (error.filename, error.strerror))) or str(error)
    code, text = (Exit.UNREPORTED, f"{done}; the report could not be written: {why}") if done else (Exit.FAILED, why)
    with suppress(OSError):  # stderr may be on the same disk
        if is_json:
            told = {"type": type(error).__name__, "message": text if done else str(error), "exit": int(code)}
            print_json({"error": {**told, "done": done} if done else told}, err=True)
        else:
            say(f"{PROGRAM}: {text}", err=True)
    return code


def report_usage(error: click.UsageError) -> Exit:
    """Say as JSON that the command line is wrong; click says it as text.

    Returns:
        The exit code.
    """
    told = {"type": type(error).__name__, "message": error.format_message(), "exit": int(Exit.USAGE)}
    if error.ctx is not None:
        told["usage"] = error.ctx.get_usage()
    print_json({"error": told}, err=True)
    return Exit.USAGE


def report_interrupt(error: KeyboardInterrupt, *, is_json: bool, done: str = "") -> Exit:
    """Say that somebody pressed Ctrl-C, and what was done before.

    Args:
        error: The interrupt; one that had to wait for the end of a change says so.
        is_json: Whether as JSON.
        done: What the command had done.

    Returns:
        The exit code.
    """
    text = "; ".join(("interrupted", *filter(None, (done or str(error),))))
    if is_json:
        print_json({"error": {"type": "KeyboardInterrupt", "message": text, "exit": int(Exit.INTERRUPTED)}}, err=True)
    else:
        say(f"{PROGRAM}: {text}", err=True)
    return Exit.INTERRUPTED
