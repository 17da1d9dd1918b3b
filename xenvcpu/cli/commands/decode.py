# SPDX-License-Identifier: MIT
"""`xenvcpu decode`: bytes as a context file."""

from __future__ import annotations

import sys
from typing import Any

import click

from xenvcpu.abi import save_stream
from xenvcpu.cli.commands.encode import FORMAT_NAMES, STREAM_LIMIT
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_file, global_options, pass_session
from xenvcpu.contextfile import FORMATS, as_mapping, filekind, stream
from xenvcpu.contextfile.source import STDIN
from xenvcpu.contextfile.writing import written
from xenvcpu.errors import FormatError


def _read(file: str) -> bytes:
    if file == STDIN:
        data = sys.stdin.buffer.read(STREAM_LIMIT + 1)
    else:
        with open(file, "rb") as opened:
            data = opened.read(STREAM_LIMIT + 1)
    return data


def _decoded(file: str, data: bytes, form: str) -> dict[str, Any]:
    try:
        if len(data) > STREAM_LIMIT:
            raise FormatError(f"{file}: larger than {STREAM_LIMIT} bytes", offset=STREAM_LIMIT)
        if form == stream.FORMAT:
            return stream.as_mapping(save_stream.split(data))
        return as_mapping(FORMATS[form].decode(data))
    except FormatError as error:
        kind = filekind.of_bytes(data)
        if kind is None:
            raise
        raise FormatError(f"{file}: {kind}, not a struct of {form}: {kind.remedy}", offset=error.offset) from error


@click.command("decode", epilog=examples("xenvcpu decode ap.bin --as vcpu_hvm_context"))
@click.argument("file", shell_complete=complete_file)
@click.option("--as", "form", type=click.Choice(FORMAT_NAMES), required=True, help="The C struct that the bytes are.")
@global_options
@pass_session
def command(session: Session, file: str, form: str) -> None:
    """Print the bytes of a C struct as a context file: TOML, or JSON with --json.

    Nothing is lost: `encode` makes the same bytes of it. FILE is `-` for stdin.
    """
    click.echo(written(_decoded(file, _read(file), form), "json" if session.json else "toml"))
