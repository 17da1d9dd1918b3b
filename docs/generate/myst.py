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
            yield f"`{term}`"
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


def sections(page: Page, depth: int = 2) -> Iterator[str]:
    """What a page says, without its title."""
    if page.synopsis:
        yield from _block(Literal(page.synopsis))
    for section in page.sections:
        yield from _section(section, depth)


def write(page: Page, title: str = "") -> str:
    """The page as a file."""
    lines = [f"# {title or f'`{page.name}`'}", "", marked(page.summary), "", *sections(page)]
    return "\n".join(lines) + "\n"
