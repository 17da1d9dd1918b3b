# SPDX-License-Identifier: MIT
"""Pages for `man`: the macros of man(7), and no others."""

from __future__ import annotations

import os
import re
import time
from typing import Iterator

from docs.generate.page import Block, Definitions, Literal, Page, Paragraph, Section

_CODE = re.compile(r"`([^`]+)`")
_SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}


def escape(text: str) -> str:
    """Text that means itself, whatever it begins with."""
    escaped = "".join(_SPECIAL.get(letter, letter) for letter in text)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def marked(text: str) -> str:
    """Text with code in bold."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(f"\\fB{escape(part)}\\fR" if number % 2 else escape(part) for number, part in enumerate(parts))


def date() -> str:
    """The day that the page is of; SOURCE_DATE_EPOCH gives another than today."""
    return time.strftime("%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield ".PP"
        yield marked(block.text)
    elif isinstance(block, Literal):
        yield ".PP"
        yield ".RS 4"
        yield ".nf"
        yield from (escape(line) for line in block.lines)
        yield ".fi"
        yield ".RE"
    elif isinstance(block, Definitions):
        for term, meaning in block.entries:
            yield ".TP"
            yield f"\\fB{escape(term)}\\fR"
            yield marked(meaning)


def _section(section: Section, macro: str) -> Iterator[str]:
    title = section.title.upper() if macro == ".SH" else section.title
    yield f'{macro} "{escape(title)}"'
    for block in section.blocks:
        lines = list(_block(block))
        # A heading needs no paragraph after it.
        yield from lines[1:] if lines[0] == ".PP" and block is section.blocks[0] else lines
    for part in section.parts:
        yield from _section(part, ".SS")


def _typed(synopsis: str) -> str:
    """A command line: what is typed as it stands in bold, what the reader fills in in italics."""
    words = []
    for word in synopsis.split():
        letter = "I" if re.search(r"[A-Z]", word) else "B"
        words.append(f"\\f{letter}{escape(word)}\\fR")
    return " ".join(words)


def write(page: Page, version: str) -> str:
    """The page as `man` reads it."""
    lines = [
        f'.TH "{escape(page.name.upper())}" "{page.manual}" "{date()}" "xenvcpu {version}" "xenvcpu"',
        # Code has no hyphens but its own, and no wide gaps.
        ".nh", ".ad l", ".SH NAME", f"{escape(page.name)} \\- {marked(page.summary)}",
    ]
    if page.synopsis:
        lines.append(".SH SYNOPSIS")
        for number, synopsis in enumerate(page.synopsis):
            lines += [*([".br"] if number else []), _typed(synopsis)]
    for section in page.sections:
        lines += _section(section, ".SH")
    if page.related:
        lines += [".SH SEE ALSO", ", ".join(_reference(name) for name in page.related)]
    return "\n".join(lines) + "\n"


def _reference(file: str) -> str:
    name, _, manual = file.rpartition(".")
    return f"\\fB{escape(name)}\\fR({manual})"
