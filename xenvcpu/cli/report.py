# SPDX-License-Identifier: MIT
"""An error as the command says it: a few lines of text, or one JSON document, on stderr."""

from __future__ import annotations

import errno as _errno
import shlex
from collections.abc import Iterator
from typing import Any

import click

from xenvcpu.cli.exits import Exit, exit_of
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.output import print_json, say
from xenvcpu.errors import RefusedContextError, XenVcpuError
from xenvcpu.left import DONE
from xenvcpu.rules.verdict import Verdict

_ATTRIBUTES = (
    "field", "value", "rule", "remedy", "op", "domid", "vcpuid", "offset", "log", "console", "differences", "restored",
    "left", "kept",
)
_RESTORED = {True: "the domain was put back as it was found", False: "the domain could NOT be put back as it was found"}


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
    for line in _details(error):
        say(f"  {line}", err=True)
    return code


def report_os(error: OSError, *, is_json: bool) -> Exit:
    """Say what the system refused: a file that cannot be written.

    Returns:
        The exit code.
    """
    if is_json:
        print_json({"error": {"type": type(error).__name__, "message": str(error), "exit": int(Exit.FAILED)}}, err=True)
    else:
        say(f"{PROGRAM}: {': '.join(filter(None, (error.filename, error.strerror))) or error}", err=True)
    return Exit.FAILED


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


def report_interrupt(*, is_json: bool) -> Exit:
    """Say that somebody pressed Ctrl-C. What had begun to change a domain was brought to an end before.

    Returns:
        The exit code.
    """
    text = "interrupted"
    if is_json:
        print_json({"error": {"type": "KeyboardInterrupt", "message": text, "exit": int(Exit.INTERRUPTED)}}, err=True)
    else:
        say(f"{PROGRAM}: {text}", err=True)
    return Exit.INTERRUPTED


def as_dict(error: XenVcpuError) -> dict[str, Any]:
    """The error as JSON has it: its type, its message, and what it carries."""
    data: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    for name in _ATTRIBUTES:
        value = getattr(error, name, None)
        if value is not None and value != "" and value != ():
            data[name] = _shown(name, value)
    number = getattr(error, "errno", None)
    if number:
        data["errno"] = _errno.errorcode.get(number, number)
    if isinstance(error, RefusedContextError):
        data.update(error.verdict.as_dict())
    return data


def _shown(name: str, value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if name == "value" and isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return value if isinstance(value, (str, int)) else repr(value)


def _details(error: XenVcpuError) -> Iterator[str]:
    if isinstance(error, RefusedContextError):
        # The message is the first finding already.
        first, *others = error.verdict.findings
        if first.console:
            yield f"Xen would print: {first.console}"
        yield from finding_lines(Verdict(tuple(others), error.verdict.depends_on), is_first=False)
    yield from (f"Xen said: {line}" for line in getattr(error, "console", ()))
    yield from getattr(error, "differences", ())[1:]
    if error.restored is not None and DONE not in error.left:
        yield _RESTORED[error.restored]
    yield from error.left
    if error.kept is not None:
        yield f"what it was is kept; to bring it back: {PROGRAM} recover {shlex.quote(error.kept)}"


def finding_lines(verdict: Verdict, *, is_first: bool = True) -> Iterator[str]:
    """The findings of a verdict as text; Xen stops at its first refusal, and prints no other.

    Args:
        verdict: The findings.
        is_first: Whether they begin with the first.
    """
    for finding in verdict.findings:
        source = f" ({finding.source})" if finding.source else ""
        yield f"{finding.level.value} {finding.rule}: {finding.message}{source}"
        if finding.console and is_first:
            yield f"  Xen would print: {finding.console}"
            is_first = False
    if verdict.depends_on:
        options = ", ".join("--" + name.replace("_", "-") for name in verdict.depends_on)
        yield f"not known, and assumed: what {options} would give"
