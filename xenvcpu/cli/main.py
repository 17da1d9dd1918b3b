# SPDX-License-Identifier: MIT
"""Where the command `xenvcpu` begins."""

from __future__ import annotations

import os
import signal
import sys
from typing import TextIO, cast

PROGRAM = "xenvcpu"


def main() -> None:
    """Run the command line, and exit with its code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding lacks must not end the program.
            if stream is not None and hasattr(stream, "reconfigure"):
                cast("_Reconfigurable", stream).reconfigure(errors="backslashreplace")
        try:
            from xenvcpu.cli.root import root
        except ModuleNotFoundError as exc:
            if exc.name != "click":
                raise
            # 5: this host cannot; the table of codes needs click itself.
            print(f"{PROGRAM}: the command line needs click: pip install 'xenvcpu[cli]'", file=sys.stderr)
            sys.exit(5)
        root(prog_name=PROGRAM)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        _drop_broken_pipe()


def _drop_broken_pipe() -> None:
    """Flush now: at interpreter exit a reader that is gone would be complained about."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Reconfigurable(TextIO):
    def reconfigure(self, *, errors: str) -> None:
        """As `io.TextIOWrapper` has it."""
