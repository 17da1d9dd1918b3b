# SPDX-License-Identifier: MIT
"""Pages for the site: Markdown as MyST reads it."""

from __future__ import annotations

import re
from typing import Iterator

from docs.generate.page import Block, Definitions, Literal, Page, Paragraph, Section

_CODE = re.compile(r"(`[^`]+`)")
_SPECIAL = re.compile(r"([\\*_\[\]<>#{}$|~^])")


def marked(text: str) -> str:
    """Text in which only backticks have a meaning."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts))


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield marked(block.text)
    elif isinstance(block, Literal):
        yield f"```{block.language}"
        yield from block.lines
        yield "```"
    elif isinstance(block, Definitions):
        for term, meaning in block.entries:
            yield f"`{term}`" if block.are_code else f"**{marked(term)}**"
            yield f": {marked(meaning) or '-'}"
            yield ""
    yield ""


def _section(section: Section, depth: int) -> Iterator[str]:
    if section.label:
        yield f"({section.label})="
    yield f"{'#' * depth} {marked(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _block(block)
    for part in section.parts:
        yield from _section(part, depth + 1)


def _sections(page: Page, without: str) -> Iterator[str]:
    if page.synopsis:
        yield from _block(Literal(page.synopsis))
    for section in page.sections:
        if section.title != without:
            yield from _section(section, 2)


def write(page: Page, title: str, *, without: str = "") -> str:
    """The page as a file, without the section of a title."""
    about = marked(page.summary)
    sentence = f"{about[0].upper()}{about[1:].rstrip('.')}."
    return "\n".join([f"# {title}", "", sentence, "", *_sections(page, without)]) + "\n"
