# SPDX-License-Identifier: MIT
"""Taking away, with a word, a file that the command has installed for another program."""

from __future__ import annotations

from pathlib import Path

from xenvcpu.cli.options import Session
from xenvcpu.cli.output import print_json, say
from xenvcpu.toolstacks import ownfile


def remove(session: Session, path: Path, then: str = "") -> None:
    """Take it away if it is ours, and tell; `then` is what is left to do."""
    changed = ownfile.remove(path)
    if changed:
        session.done = f"removed {path}"
    if session.json:
        print_json({"file": str(path), "changed": changed})
    elif not session.quiet:
        done = f"removed; {then}" if then else "removed"
        say(f"{path}: {done if changed else 'was not there'}")
