# SPDX-License-Identifier: MIT
"""Names and lines that guests and files give reach no terminal and no path as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, call
from xenvcpu.model import worldfile, worlds

NAMES = {
    "escape sequences": "a\x1b[2J\x1b]0;owned\x07b",
    "C1 controls": "a\x9b31mb\x9d0;x\x9c\x85c",
    "bidi overrides": "a\u202eb\u2066c\u200f\u061c",
    "line and paragraph separators": "a\u2028b\u2029c\x0b\x0c\x1c",
    "carriage return and backspace": "good\rbad\x08\x7f\x00",
    "bytes that are no text": b"a\xff\xed\xa0\x80b".decode("utf-8", "surrogateescape"),
    "zero width and tags": "a\u200b\u2060\ufeff\U000e0041b",
    "a path": "../../etc/passwd",
    "markup": "[bold red]a[/] %s {0} `id` $(id)",
}
COMMANDS = (
    ("list",), ("list", "1"), ("show", "1", "0"), ("show", "1", "3"), ("start", "1", "1", "preset:flat32"),
    ("start", "1", "1", "preset:flat32", "--dry-run"), ("start", "1", "0", "preset:flat32"), ("stop", "1", "0"),
    ("start", "1", "9", "preset:flat32"), ("list", "no such"), ("doctor",),
)
STEERING = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n"}


@pytest.fixture(params=NAMES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A world file whose domain has such a name and whose console has such a line; and the name."""
    name, path = NAMES[request.param], tmp_path / "world.json"
    host = worlds.pvh()
    host.named("web").name = name
    found = worldfile.to_json(host)
    found["console"] += f"(d1) {name}\n" if name.isprintable() else ""
    path.write_text(json.dumps(found))
    return f"model:{path}", name


def is_plain(text: str) -> bool:
    """Whether every line is printable: no control, no separator, nothing that turns the text round."""
    return not STEERING & set(text) and all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_passes_it_to_the_terminal(world: tuple[str, str], command: tuple[str, ...]) -> None:
    ran = call("--host", world[0], *command)
    assert ran.code != 130 and (ran.out or ran.err)
    assert is_plain(ran.out) and is_plain(ran.err), (ran.out, ran.err)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_passes_it_in_json(world: tuple[str, str], command: tuple[str, ...]) -> None:
    ran = call("--host", world[0], *command, "--json")
    assert is_plain(ran.out) and ran.out.isascii() and is_plain(ran.err) and ran.err.isascii()


def test_json_has_the_name_as_it_is(world: tuple[str, str]) -> None:
    """But for bytes that are no text, which JSON could not hold."""
    host, name = world
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert call("--host", host, "list", "1", "--json").json["domains"][0]["name"] == text


def test_a_terminal_is_given_it_escaped(world: tuple[str, str]) -> None:
    """The process itself, with the encoding that a terminal has; also one that knows bytes only."""
    for encoding in ("utf-8", "latin-1"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "xenvcpu", "--host", world[0], "list"]
        ran = subprocess.run(command, capture_output=True, env=environment, check=True)
        assert is_plain(ran.stdout.decode(encoding)) and ran.stderr == b""


def _is_alone(folder: Path) -> bool:
    return {path.name for path in folder.rglob("*")} <= {"world.json"}


def test_no_file_is_made_of_a_name(world: tuple[str, str], tmp_path: Path) -> None:
    call("--host", world[0], "start", "1", "1", "preset:flat32")
    call("--host", world[0], "stop", "1", "1")
    assert _is_alone(tmp_path)


@pytest.mark.parametrize("name", [*NAMES.values(), "a\ud800b"], ids=[*NAMES, "a lone surrogate"])
def test_a_name_in_a_context_file_is_escaped_in_the_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ap.json"
    path.write_text(json.dumps({name: 1}))
    ran: Ran = call("check", path)
    assert ran.code == 1 and "no such key" in ran.err
    assert is_plain(ran.err) and call("check", path, "--json").err.isascii()
