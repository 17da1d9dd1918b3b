# SPDX-License-Identifier: MIT
"""Examples of command lines: they stand below `--help`, in the manual and on the site, and a test runs each."""

from __future__ import annotations

TITLE = "Examples:"
PROMPT, MORE = "$ ", "> "
"""What stands before a command, and before its further lines."""


def examples(*commands: str) -> str:
    """An epilog for a command that shows how it is typed."""
    shown = (PROMPT + command.replace("\n", f"\n{MORE}") for command in commands)
    return "\n".join(["\b", TITLE, *(f"  {line}" for text in shown for line in text.split("\n"))])
