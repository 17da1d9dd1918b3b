# SPDX-License-Identifier: MIT
"""Exit codes, and the errors that lead to them, as a page of the site."""

from __future__ import annotations

import inspect
from typing import Iterator, Type

from docs.generate.page import Definitions, Page, Paragraph, Section
from xenvcpu import errors
from xenvcpu.cli.exits import MEANINGS, exit_of
from xenvcpu.errors import ContextError, XenVcpuError


def kinds() -> Iterator[Type[XenVcpuError]]:
    """Every error, as they stand in their module."""
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, XenVcpuError):
            yield kind


def exit_code(kind: Type[XenVcpuError], rule: str) -> int:
    """How the command ends with an error of a kind; one about a context may name a rule."""
    error = kind.__new__(kind)
    if isinstance(error, ContextError):
        error.rule = rule
    return int(exit_of(error))


def _led_to(code: int) -> str:
    named = []
    for kind in kinds():
        if code in (with_rule := exit_code(kind, "some-rule"), exit_code(kind, "")):
            # Of a kind that may end either way, this is one of them.
            differs = with_rule != exit_code(kind, "") and not _always_names_a_rule(kind)
            if with_rule == code or differs:
                when = (" if it names a rule" if with_rule == code else " if it names none") if differs else ""
                named.append(f"`{kind.__name__}`{when}")
    return f" Errors: {', '.join(named)}." if named else ""


def _always_names_a_rule(kind: Type[XenVcpuError]) -> bool:
    return issubclass(kind, errors.RefusedContextError)


def page() -> Page:
    """The page."""
    codes = tuple((str(int(code)), f"{meaning}.{_led_to(int(code))}") for code, meaning in MEANINGS.items())
    return Page(
        "errors", 7, "How the command ends, and the errors of `xenvcpu.errors` that lead to it", (),
        (Section("What each means", (
            Definitions(codes),
            Paragraph("With `--json` an error is a JSON document on stderr, and stdout stays empty."),
        )),),
    )
