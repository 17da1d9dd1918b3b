# SPDX-License-Identifier: MIT
"""Where the command `xenvcpu` begins."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TextIO, cast

PROGRAM = "xenvcpu"
COMPLETING = "_XENVCPU_COMPLETE"
"""The variable in which a shell says that it wants a line completed, and which shell it is."""


def main() -> None:
    """Run the command line, and exit with its code."""
    _open_closed()
    try:
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding lacks must not end the program.
            if stream is not None and hasattr(stream, "reconfigure"):
                cast("_Reconfigurable", stream).reconfigure(errors="backslashreplace")
        if not _has_click():
            # 5: this host cannot; the table of codes needs click itself.
            print(f"{PROGRAM}: the command line needs click 8 or later: pip install 'click>=8'", file=sys.stderr)
            sys.exit(5)
        from xenvcpu.cli.root import root

        if COMPLETING in os.environ:
            from xenvcpu.cli import completing  # noqa: F401  (tells click of our own for bash)
        root(prog_name=PROGRAM)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as exc:
        # Before a command runs: `--help` into a full disk.
        print(f"{PROGRAM}: {exc.strerror}", file=sys.stderr)
        drop_unwritten()
        sys.exit(1)
    finally:
        _flush()


def _has_click() -> bool:
    """Whether click is here, and not the click 7 of Debian 11, which lacks much of what the commands use."""
    try:
        import click
    except ModuleNotFoundError:
        return False
    return hasattr(click.Parameter, "shell_complete")


def _open_closed() -> None:
    """A standard stream that the caller has closed reads as empty and swallows what is written.

    Otherwise the first file that is opened would take its place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # They are opened in this order, so that each gets the lowest number that is free: its own.
            setattr(sys, name, open(os.devnull, mode))


def drop_unwritten() -> None:
    """Let go of output that cannot be written: it must not be tried again at exit, where it would change the code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _flush() -> None:
    """Write what is left now: at interpreter exit it would be too late to say that it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        drop_unwritten()
        if exc.errno == errno.EPIPE:
            sys.exit(128 + signal.SIGPIPE)
        print(f"{PROGRAM}: {exc.strerror}", file=sys.stderr)
        sys.exit(1)


class _Reconfigurable(TextIO):
    def reconfigure(self, *, errors: str) -> None:
        """As `io.TextIOWrapper` has it."""
