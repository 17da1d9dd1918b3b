# SPDX-License-Identifier: MIT
"""What an error carries: as JSON, and in words."""

from __future__ import annotations

import errno as _errno
import shlex
from typing import Any, Dict, Iterator

from xenvcpu.errors import RefusedContextError, XenVcpuError
from xenvcpu.left import DONE
from xenvcpu.rules.verdict import Verdict

_ATTRIBUTES = (
    "field", "value", "rule", "remedy", "op", "domid", "vcpuid", "offset", "log", "console", "differences", "restored",
    "left", "kept",
)
_OF_XEN = "is_debug_build"
"""What no option gives: Xen's own word counts."""
_RESTORED = {True: "the domain was put back as it was found", False: "the domain could NOT be put back as it was found"}


def as_dict(error: XenVcpuError) -> Dict[str, Any]:
    """The error as JSON has it: its type, its message, and what it carries."""
    data: Dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
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


def details(error: XenVcpuError) -> Iterator[str]:
    """What there is to say of an error besides its message, one line each."""
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
        yield f"what it was is kept; to bring it back: xenvcpu recover {shlex.quote(error.kept)}"


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
    options = ", ".join("--" + name.replace("_", "-") for name in verdict.depends_on if name != _OF_XEN)
    if options:
        yield f"not known, and assumed: what {options} would give"
    if _OF_XEN in verdict.depends_on:
        yield "not known, and assumed: that Xen is a debug build; a start asks Xen"
