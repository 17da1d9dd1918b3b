# SPDX-License-Identifier: MIT
"""`run` calls the command line in this process; `world` is a model of Xen in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

pytest.importorskip("click")

from click.testing import CliRunner

from xenvcpu.cli.root import root


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]


def _runner() -> CliRunner:
    try:
        return CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # click before 8.2 mixes them otherwise
    except TypeError:
        return CliRunner()


def call(*arguments: object, stdin: str | bytes | None = None) -> Ran:
    """Run one command line; an exception that is no exit of the command is raised here."""
    result = _runner().invoke(root, [str(argument) for argument in arguments], input=stdin, prog_name="xenvcpu")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    try:
        out = result.stdout
    except UnicodeDecodeError:
        out = ""
    return Ran(result.exit_code, out, result.stderr, result.stdout_bytes)


@pytest.fixture
def run() -> Run:
    """Call the command line: `run("preset", "flat32").out`."""
    return call


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The `--host` spec of a world file with a domain `web` of 4 vcpus."""
    path = tmp_path / "world.json"
    assert call("model", "new", path, "--domain", "web:4", "--xen", "4.17").code == 0
    return f"model:{path}"
