# SPDX-License-Identifier: MIT
"""`xenvcpu import`: registers that another program has printed, as a context file."""

from __future__ import annotations

import sys
import textwrap

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_file, global_options, pass_session
from xenvcpu.cli.output import print_json
from xenvcpu.contextfile import as_mapping, filekind, hexed, registerdump
from xenvcpu.contextfile.registerdump import RegisterDump
from xenvcpu.contextfile.source import STDIN
from xenvcpu.contextfile.writing import written
from xenvcpu.errors import FormatError
from xenvcpu.plaintext import plain

_WIDTH = 100


def _read(file: str) -> str:
    limit = registerdump.MAX_SIZE
    if file == STDIN:
        data = sys.stdin.buffer.read(limit + 1)
    else:
        with open(file, "rb") as opened:
            data = opened.read(limit + 1)
    kind = filekind.of_bytes(data)
    if kind is not None:
        raise FormatError(f"{file}: {kind}: {kind.remedy}")
    if len(data) > limit:
        raise FormatError(f"{file}: larger than {limit} bytes: cut out the part with the registers", offset=limit)
    return data.decode("utf-8", "replace")


def _chosen(dumps: tuple[RegisterDump, ...], number: int | None, file: str) -> RegisterDump:
    if number is None and len(dumps) == 1:
        return dumps[0]
    if number is None or number > len(dumps):
        places = ", ".join(f"{at} (line {dump.line})" for at, dump in enumerate(dumps[:20], 1))
        raise click.UsageError(f"{file} has the registers of {len(dumps)}: choose with --number one of {places}")
    return dumps[number - 1]


@click.command("import", epilog=examples(
    "xenvcpu import dmesg.txt > failed.toml",
    "xenvcpu check failed.toml",
))
@click.argument("file", shell_complete=complete_file)
@click.option("--number", type=click.IntRange(1), metavar="N", help="Which, where there are several; 1 is the first.")
@global_options
@pass_session
def command(session: Session, file: str, number: int | None) -> None:
    """Make a context file of registers that another program has printed.

    FILE is a text, or `-` for stdin, with a VMCS or VMCB as `xl dmesg` shows it, the output
    of QEMU's `info registers`, or of xen-hvmctx; what else is in it does not matter. What
    is printed is of format cpu_record: `check` judges it, `start` takes it. A comment (with
    --json the description) names what the text does not have. FPU registers are left out.
    """
    name = "<stdin>" if file == STDIN else file
    dump = _chosen(registerdump.read(_read(file), name), number, name)
    about = f"{name}:{dump.line}: {dump.dialect.name}"
    if dump.missing:
        about += f"; not in it, and zero here: {', '.join(dump.missing)}"
    if session.json:
        print_json({"description": plain(about), **hexed(as_mapping(dump.record))})
    else:
        click.echo(written(as_mapping(dump.record), comment="\n".join(textwrap.wrap(plain(about), _WIDTH))))
