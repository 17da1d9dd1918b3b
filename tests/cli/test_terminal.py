# SPDX-License-Identifier: MIT
"""What a terminal of a given width shows: nothing of a value is cut off."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios

import pytest

from tests.cli.test_command import COMMAND, ENVIRONMENT

pytest.importorskip("rich")


def shown(columns: int, *arguments: str) -> list[str]:
    """The lines that a command prints on a terminal, without their colours."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in ENVIRONMENT.items() if key not in ("COLUMNS", "LINES")}
    with subprocess.Popen([*COMMAND, *arguments], stdout=theirs, env={**environment, "TERM": "xterm"}) as running:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:
                # The other side has closed it.
                break
        assert running.wait(60) == 0
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r", "").rstrip("\n").split("\n")


def test_a_list_fits_80_columns_with_every_rip_whole() -> None:
    lines = shown(80, "--host", "model:pvh", "list")
    assert (6, True) == (len(lines), "0xffffffff81c01234" in lines[2])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_a_uuid_stays_whole_on_any_terminal(columns: int) -> None:
    assert "00000000-0000-0000-0000-000000000000" in "\n".join(shown(columns, "model", "show", "busy"))


def test_sentences_are_wrapped() -> None:
    lines = shown(60, "model", "worlds")
    assert (True, True) == (len(lines) > 10, max(map(len, lines)) <= 60)


@pytest.mark.parametrize("columns", [30, 80])
def test_registers_fit_the_terminal(columns: int) -> None:
    registers = [line for line in shown(columns, "--host", "model:pvh", "show", "web", "0") if line.startswith("r")]
    assert max(map(len, registers)) <= columns
    assert "rip    ffffffff81c01234" in "\n".join(registers)
