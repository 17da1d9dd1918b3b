# SPDX-License-Identifier: MIT
"""A page as a value, which `roff` and `myst` write.

In a text, what stands between backticks is code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple, Union


@dataclass(frozen=True)
class Paragraph:
    """Words that may be wrapped."""

    text: str


@dataclass(frozen=True)
class Literal:
    """Lines that stay as they are.

    Attributes:
        lines: They.
        language: What they are: `console` with a `$` before each command, `toml`, or `text`.
    """

    lines: Tuple[str, ...]
    language: str = "text"


@dataclass(frozen=True)
class Definitions:
    """Terms, each with what it means.

    Attributes:
        entries: The pairs; a term stands as it is, and its meaning is a text.
        are_code: Whether the terms are code, as options are.
    """

    entries: Tuple[Tuple[str, str], ...]
    are_code: bool = True


Block = Union[Paragraph, Literal, Definitions]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        title: The heading, as a sentence begins.
        blocks: What stands there.
        parts: Sections within it.
        label: What links lead to, where the site has it; empty for none.
    """

    title: str
    blocks: Tuple[Block, ...] = ()
    parts: Tuple[Section, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: Its name, as `man` is given it.
        manual: The section of the manual: 1, 5 or 7.
        summary: What it is about, in a line.
        synopsis: How a command is typed; empty where the page is of no command.
        sections: What it says.
        related: The pages that belong to it.
    """

    name: str
    manual: int
    summary: str
    synopsis: Tuple[str, ...]
    sections: Tuple[Section, ...]
    related: Tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Its file in the manual."""
        return f"{self.name}.{self.manual}"
