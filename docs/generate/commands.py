# SPDX-License-Identifier: MIT
"""The commands as pages, from what click prints for `--help`.

`click-man` is no help here: it wants the entry point to be a click command (ours ends the program with care, and then
imports click), makes a page of each of 32 commands with an empty line where `--help` has an epilog, and joins lines
that `--help` keeps apart.
"""

from __future__ import annotations

import inspect
from typing import Iterator, List, Sequence, Tuple

import click

from docs.generate.page import Block, Definitions, Literal, Page, Paragraph, Section
from xenvcpu.cli.examples import PROMPT, TITLE
from xenvcpu.cli.exits import MEANINGS
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.root import COMMANDS, root

_KEPT = "\b"
ENDS = "Exit status"
"""The title of the section that is the same on every page."""


def texts(text: str) -> Tuple[Block, ...]:
    """A help text as blocks: paragraphs, and lines that `\\b` keeps as they are."""
    blocks: List[Block] = []
    for part in inspect.cleandoc(text).split("\n\n"):
        lines = part.splitlines()
        if lines and lines[0].strip() == _KEPT:
            kept = inspect.cleandoc("\n".join(lines[1:])).splitlines()
            is_typed = any(line.startswith(PROMPT) for line in kept)
            blocks.append(Literal(tuple(kept), "console" if is_typed else "text"))
        elif part.strip():
            blocks.append(Paragraph(" ".join(part.split())))
    return tuple(blocks)


def context_of(path: Sequence[str]) -> click.Context:
    """The context in which click would print the help of a command: `context_of(["xl", "create"])`."""
    context = click.Context(root, info_name=PROGRAM, **root.context_settings)
    for name in path:
        group = context.command
        assert isinstance(group, click.Group)
        command = group.get_command(context, name)
        assert command is not None, path
        context = click.Context(command, info_name=name, parent=context)
    return context


def paths() -> List[Tuple[str, ...]]:
    """Every command, groups before what they hold."""
    return [path for name in COMMANDS for path in ((name,), *((name, inner) for inner in _inner(context_of((name,)))))]


def _inner(context: click.Context) -> Tuple[str, ...]:
    group = context.command
    return tuple(group.list_commands(context)) if isinstance(group, click.Group) else ()


def synopsis(context: click.Context) -> str:
    """How a command is typed."""
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def options(context: click.Context) -> Definitions:
    """The options with what `--help` says of each."""
    given = (each for each in context.command.get_params(context) if isinstance(each, click.Option))
    records = (option.get_help_record(context) for option in given)
    return Definitions(tuple(record for record in records if record is not None))


def exit_status() -> Section:
    """What the exit codes mean."""
    entries = tuple((str(int(code)), meaning) for code, meaning in MEANINGS.items())
    return Section(ENDS, (Definitions(entries),))


def _said(context: click.Context) -> Iterator[Section]:
    """Description, options and examples of a command."""
    yield Section("Description", texts(context.command.help or ""))
    yield Section("Options", (options(context),))
    epilog = inspect.cleandoc(context.command.epilog or "").splitlines()
    if TITLE in epilog:
        lines = inspect.cleandoc("\n".join(epilog[epilog.index(TITLE) + 1 :])).splitlines()
        yield Section("Examples", (Literal(tuple(lines), "console"),))


def _part(path: Sequence[str]) -> Section:
    """A command of a group."""
    context = context_of(path)
    blocks: List[Block] = [Literal((synopsis(context),))]
    for section in _said(context):
        blocks += section.blocks
    return Section(context.command_path, tuple(blocks))


def page(name: str) -> Page:
    """The page of a command; a group's has its commands too."""
    context = context_of((name,))
    inner = _inner(context)
    sections = list(_said(context))
    if inner:
        sections.insert(1, Section("Commands", parts=tuple(_part((name, each)) for each in inner)))
    lines = tuple(synopsis(context_of((name, each))) for each in inner) or (synopsis(context),)
    return Page(
        f"{PROGRAM}-{name}", 1, summary(COMMANDS[name]), lines, (*sections, exit_status()),
        (f"{PROGRAM}.1", *_RELATED.get(name, ())),
    )


def summary(text: str) -> str:
    """A line of `--help` as the manual's line of what a page is about."""
    plain = text.rstrip(".")
    return plain if plain[:2].isupper() or plain.startswith("Xen") else plain[0].lower() + plain[1:]


def overview() -> Page:
    """The page of the program."""
    context = context_of(())
    entries = Definitions(tuple((f"{PROGRAM} {name}", about) for name, about in COMMANDS.items()))
    description, *others = _said(context)
    return Page(
        PROGRAM, 1, summary((description.blocks[0].text if isinstance(description.blocks[0], Paragraph) else "")),
        (synopsis(context),), (description, Section("Commands", (entries,)), *others, exit_status()),
        (*(f"{PROGRAM}-{name}.1" for name in COMMANDS), *_MORE),
    )


def pages() -> Iterator[Page]:
    """The page of the program, and one for each of its commands."""
    yield overview()
    for name in COMMANDS:
        yield page(name)


_FORMAT, _RULES = f"{PROGRAM}-context.5", f"{PROGRAM}-rules.7"
_MORE = (_FORMAT, _RULES)
_RELATED = {
    **dict.fromkeys(("start", "preset", "encode", "decode", "libvirt", "xapi"), (_FORMAT,)),
    "check": _MORE, "xl": (_FORMAT, "xl.1"),
}
"""What a page leads to besides that of the program."""
