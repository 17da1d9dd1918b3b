# SPDX-License-Identifier: MIT
"""`run` calls the command line in this process, `call` any command; `world` is a model of Xen in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple, Optional

import pytest

ROOT = str(Path(__file__).parents[2])


class Ran(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(name="environment")
def environment_of_child() -> Callable[..., Mapping[str, str]]:
    """The environment of a child that finds the same xenvcpu: `environment({"MORE": "1"})`."""
    return environment


@pytest.fixture(name="call")
def call_of_child() -> Run:
    """Run a command in a process of its own."""
    return call


def environment(more: Optional[Mapping[str, str]] = None) -> Mapping[str, str]:
    """The environment of a child that finds the same xenvcpu as this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), ROOT]), **(more or {})}


def call(*command: object, env: Optional[Mapping[str, str]] = None, stdin: str = "", timeout: float = 60) -> Ran:
    """Run a command, without a shell."""
    done = subprocess.run(
        [str(part) for part in command], env=environment(env), input=stdin, capture_output=True, text=True,
        timeout=timeout, check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def run_command(*arguments: object, env: Optional[Mapping[str, str]] = None, stdin: str = "") -> Ran:
    """Run one command line of ours; an exception that is no exit of the command is raised here."""
    from click.testing import CliRunner

    from xenvcpu.cli.root import root

    try:
        runner = CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # click before 8.2 mixes them otherwise
    except TypeError:
        runner = CliRunner()
    done = runner.invoke(root, [str(part) for part in arguments], input=stdin, env=env, prog_name="xenvcpu")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def run() -> Run:
    """Call the command line: `run("preset", "flat32").out`."""
    pytest.importorskip("click")
    return run_command


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The `--host` spec of a world file with a domain `web` of 4 vcpus."""
    from xenvcpu.model import worldfile

    path = tmp_path / "world.json"
    worldfile.new(str(path))
    return f"model:{path}"
