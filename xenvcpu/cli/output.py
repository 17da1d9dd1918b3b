# SPDX-License-Identifier: MIT
"""What the commands print: JSON, and tables that are plain columns where no terminal reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from xenvcpu.contextfile.template import SCHEMA
from xenvcpu.plaintext import plain

_GAP = 2
"""The spaces between two columns of a table."""

_PROSE = 16
"""The least width that a column of sentences can be read in."""


def say(text: str, *, err: bool = False) -> None:
    """Print lines, each made plain."""
    for line in text.split("\n"):
        click.echo(plain(line), err=err)


def print_json(data: Mapping[str, Any], *, err: bool = False) -> None:
    """Print one JSON document, with the number of its schema first."""
    click.echo(json.dumps({"schema": SCHEMA, **data}, indent=2), err=err)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: drawn on a terminal, plain columns in a pipe."""
    cells = [[plain("-" if cell is None else cell) for cell in row] for row in rows]
    if not (sys.stdout.isatty() and _draw(headings, cells)):
        widths = [max(map(len, column)) for column in zip(headings, *cells)]
        for row in (headings, *cells):
            click.echo((" " * _GAP).join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Draw with rich; False where it is not installed, or the terminal is too narrow."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    columns = list(zip(headings, *cells))
    console = Console()
    # A number, a name or a UUID stays whole; only columns of sentences are wrapped.
    is_prose = [any(" " in cell for cell in column[1:]) for column in columns]
    least = sum(_PROSE if prose else max(map(len, column)) for prose, column in zip(is_prose, columns))
    if least + _GAP * len(columns) > console.width:
        return False
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for heading, prose in zip(headings, is_prose):
        drawn.add_column(heading, no_wrap=not prose, overflow="fold")
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    return True
