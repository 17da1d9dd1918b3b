# SPDX-License-Identifier: MIT
"""What the documents show: fenced blocks, the commands typed in them, and commands named in the text.

In the output that a block shows, `...` stands for what varies: alone on a line for any number of lines, within a line
for any text.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Iterator, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^ *(?P=fence) *$", re.DOTALL | re.MULTILINE
)
_CAPTION = re.compile(r"^:caption: *(\S+)\n+", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_OUTSIDE = ("README.md", "CONTRIBUTING.md", "ansible_collections/xenvcpu/xen/README.md")
PROMPT, MORE, ANYTHING = "$ ", "> ", "..."
_EXITS = re.compile(r"#.*\bexits (\d+)\s*$")


class Block(NamedTuple):
    """A fenced block: where it stands, its language, the file that it is (or an empty string), and its text."""

    page: str
    line: int
    language: str
    file: str
    text: str


class Typed(NamedTuple):
    """A command: where it stands, what is typed, the exit code that is told (0 if none is), the output shown."""

    page: str
    line: int
    command: str
    exits: int
    output: Tuple[str, ...]

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.page}:{self.line}: {self.command}"


def pages() -> Tuple[str, ...]:
    """Every document, by its path in the checkout."""
    written = (path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts)
    return (*_OUTSIDE, *sorted(str(path.relative_to(ROOT)) for path in written))


def text_of(page: str) -> str:
    """A document."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    text = text_of(page)
    for match in _FENCE.finditer(text):
        info, body = match["info"].strip(), textwrap.dedent(match["body"])
        language = info.partition("}")[2].strip() if info.startswith("{code-block}") else info
        caption = _CAPTION.match(body)
        line = text.count("\n", 0, match.start("body")) + 1
        yield Block(page, line, language, caption[1] if caption else "", body[caption.end() :] if caption else body)


def typed(block: Block) -> Iterator[Typed]:
    """The commands of a console block, each with the output that follows it."""
    command: list[str] = []
    output: list[str] = []
    began = 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith(PROMPT):
            if command:
                yield _typed(block.page, began, command, output)
            command, output, began = [line[len(PROMPT) :]], [], number
        elif line.startswith(MORE) and not output and command:
            command.append(line[len(MORE) :])
        else:
            output.append(line.rstrip())
    if command:
        yield _typed(block.page, began, command, output)


def _typed(page: str, line: int, command: list[str], output: list[str]) -> Typed:
    text = "\n".join(command)
    told = _EXITS.search(text)
    return Typed(page, line, text, int(told[1]) if told else 0, tuple(output))


def console(page: str) -> Iterator[Typed]:
    """Every command of a document."""
    for block in blocks(page):
        if block.language == "console":
            yield from typed(block)


def prose(page: str) -> str:
    """The text of a document, fenced blocks left out."""
    return _FENCE.sub("", text_of(page))


def inline(page: str) -> Iterator[str]:
    """What stands between backticks in the text of a document."""
    for match in _INLINE.finditer(prose(page)):
        yield " ".join(match[1].split())


def matches(shown: Tuple[str, ...], printed: str) -> bool:
    """Whether a command printed what is shown of it."""
    pattern = ""
    for line in shown:
        if line == ANYTHING:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split(ANYTHING)) + r" *\n"
    text = "".join(f"{line.rstrip()}\n" for line in printed.rstrip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None
