# SPDX-License-Identifier: MIT
"""The line that Xen prints when it boots, the only place before hypfs (4.15) where it says how it was built."""

from __future__ import annotations

import re
from typing import Optional

_LINE = re.compile(r"\n\(XEN\) (?:\[[^]\n]*\] )?Xen version 4\.\d[^\n]* debug=([yn])\b")


def is_debug_build(console: str, *, is_whole: bool) -> Optional[bool]:
    """Whether Xen is a debug build, from its console ring; None when the line is there no more.

    Lines of guests have a prefix of their own, so that none can pass for it.

    Args:
        console: All that the ring holds.
        is_whole: Whether that is all that Xen ever printed. Else the first line may be the end of a guest's, whose
            prefix is gone, and does not count.
    """
    words = set(_LINE.findall(f"\n{console}" if is_whole else console))
    return None if not words else "y" in words


def line(release: str, is_debug: bool) -> str:
    """The line as the model prints it."""
    return f"Xen version {release} (model@xenvcpu) (none) debug={'y' if is_debug else 'n'}"
