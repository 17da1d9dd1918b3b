# SPDX-License-Identifier: MIT
"""`xenvcpu encode`: a context file as bytes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from xenvcpu.cli import contexts
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_context, global_options, pass_session, setting_option, vcpu_option
from xenvcpu.cli.output import print_json, say
from xenvcpu.contextfile import FORMATS, convert, source, stream
from xenvcpu.contextfile.source import STDIN

FORMAT_NAMES = (*FORMATS, stream.FORMAT)
STREAM_LIMIT = 1 << 24
"""A save stream of 128 vcpus is of 2 MiB, and as a file of 5; what is read takes many times its size in memory."""


def _bytes(context: str, form: str, settings: Mapping[str, str], vcpu: int) -> bytes:
    if form != stream.FORMAT:
        return convert(contexts.read(context, settings).render(vcpu), FORMATS[form]).pack()
    if settings:
        raise click.UsageError("--set does not reach into a save stream")
    read = source.read(context, STREAM_LIMIT)
    if read.data.get("format") != stream.FORMAT:
        raise read.error(
            "format", f"must be {stream.FORMAT}", value=read.data.get("format"), rule="choice",
            remedy="a stream with one vcpu would stop the others: use `xenvcpu start`, or --as cpu_record",
        )
    return stream.to_bytes(read)


@click.command("encode", epilog=examples("xenvcpu encode ap.toml --as vcpu_hvm_context --vcpu 2 -o ap.bin"))
@click.argument("context", shell_complete=complete_context)
@click.option("--as", "form", type=click.Choice(FORMAT_NAMES), required=True, help="The C struct to write.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to; else stdout, in hex on a terminal.")
@vcpu_option
@setting_option
@global_options
@pass_session
def command(
    session: Session, context: str, form: str, output: str | None, vcpu: int, settings: Mapping[str, str]
) -> None:
    """Write a context file as the bytes of a C struct.

    What `decode` prints comes back byte for byte. A context, or the image of another
    struct, is converted; a field that the struct cannot carry is named.
    """
    data = _bytes(context, form, settings, vcpu)
    if output is not None and output != STDIN:
        Path(output).write_bytes(data)
        session.done = f"wrote {output}"
    if session.json:
        print_json({"format": form, "size": len(data), "bytes": data.hex()})
    elif output is None and sys.stdout.isatty():
        click.echo("\n".join(_rows(data)))
    elif output is None or output == STDIN:
        sys.stdout.buffer.write(data)
    elif not session.quiet:
        say(f"{output}: {len(data)} bytes of {form}", err=True)


def _rows(data: bytes) -> list[str]:
    return [f"{offset:04x}  {data[offset : offset + 16].hex(' ', 4)}" for offset in range(0, len(data), 16)]
