# SPDX-License-Identifier: MIT
"""`python -m docs.generate man FOLDER` writes the manual, `... site FOLDER` what the site includes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator, Tuple

from docs.generate import commands, contextfile, failures, myst, roff, rulebook
from docs.generate.page import Page
from xenvcpu import __version__


def manual() -> Iterator[Page]:
    """Every page of the manual."""
    yield from commands.pages()
    yield contextfile.page()
    yield rulebook.page()


def files(kind: str) -> Iterator[Tuple[str, str]]:
    """What is written: names and contents."""
    if kind == "man":
        yield from ((f"man{page.manual}/{page.file}", roff.write(page, __version__)) for page in manual())
        return
    for page in commands.pages():
        yield f"commands/{page.name}.md", myst.write(page, page.name.replace("-", " "), without=commands.ENDS)
    yield "xenvcpu-context.md", myst.write(contextfile.page(), "Context files")
    yield "xenvcpu-rules.md", myst.write(rulebook.page(), "Rules")
    yield "errors.md", myst.write(failures.page(), "Exit codes")


def write(kind: str, folder: Path) -> None:
    """Write all files of a kind, and touch none that is as it should be."""
    for name, text in files(kind):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("man", "site"):
        sys.exit(__doc__)
    write(sys.argv[1], Path(sys.argv[2]))
