# SPDX-License-Identifier: MIT
"""Text that others wrote, as a terminal or a log may have it."""

from __future__ import annotations


def plain(text: object) -> str:
    """Text that a terminal may see, and that stays on one line: what is not printable is escaped.

    Names of domains, logs and files are written by others, who might steer the terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
