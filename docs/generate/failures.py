# SPDX-License-Identifier: MIT
"""Exit codes and errors as a page of the site."""

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


def exit_code(kind: Type[XenVcpuError]) -> int:
    """How the command ends with an error of a kind."""
    error = kind.__new__(kind)
    if isinstance(error, ContextError):
        error.rule = "some-rule"
    return int(exit_of(error))


def _kind(kind: Type[XenVcpuError]) -> str:
    first = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    # The class that comes first leads to all of our own.
    ours = [base.__name__ for base in kind.__mro__[1:] if base in set(kinds())][:1]
    others = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
    under = ", ".join(f"`{name}`" for name in (*ours, *others))
    return f"{first}{f' A kind of {under}.' if under else ''} Exit code {exit_code(kind)}."


def page() -> Page:
    """The page."""
    codes = tuple((str(int(code)), meaning) for code, meaning in MEANINGS.items())
    return Page(
        "errors", 7, "Exit codes of the command, and the errors of `xenvcpu.errors` that lead to them.", (),
        (
            Section("Exit codes", (Definitions(codes), Paragraph(
                "With `--json` an error is a JSON document on stderr, and stdout stays empty."
            ))),
            Section("Errors", (
                Paragraph("Each is under `XenVcpuError`, which has these attributes whatever the error:"),
                Definitions(tuple(_attributes())),
                Definitions(tuple((kind.__name__, _kind(kind)) for kind in kinds())),
            )),
        ),
    )


def _attributes() -> Iterator[tuple[str, str]]:
    lines = (inspect.getdoc(XenVcpuError) or "").partition("Attributes:\n")[2].splitlines()
    for line in lines:
        name, _, meaning = line.strip().partition(": ")
        yield name, meaning
