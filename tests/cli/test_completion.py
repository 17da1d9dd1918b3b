# SPDX-License-Identifier: MIT
"""Shells complete our command lines: real ones, with the script that `xenvcpu completion` prints for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from xenvcpu import errors

TESTED = Path(errors.__file__).parents[1]

BASH = """
eval "$(xenvcpu completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_xenvcpu_completion xenvcpu 2>"$ERRORS"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""Complete the last argument, as readline would ask for it."""

ZSH = """
compdef() { : }
compadd() { print -l -- ${(P)argv[-1]} }
_describe() { print -l -- ${${(P)argv[-2]}%%:*} }
eval "$(xenvcpu completion zsh)"
words=("$@") CURRENT=$#
_xenvcpu_completion
"""

FISH = 'xenvcpu completion fish | source; complete -C "$argv" | string replace -r "\\t.*" ""'

Complete = Callable[..., "list[str]"]


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """What a shell offers for a line: `complete("bash", "xenvcpu", "st")`."""
    program = tmp_path / "bin" / "xenvcpu"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m xenvcpu "$@"\n')
    program.chmod(0o755)

    command = {"bash": ("bash", "-c", BASH), "zsh": ("zsh", "-fc", ZSH), "fish": ("fish", "--no-config", "-c", FISH)}

    def run(shell: str, *words: str, host: str = "model:busy") -> list[str]:
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} here")
        arguments = [" ".join(words)] if shell == "fish" else [shell, *words]
        environment = {
            **os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(TESTED),
            "XENVCPU_HOST": host, "HOME": str(tmp_path), "ERRORS": str(tmp_path / "errors"),
        }
        done = subprocess.run(
            [*command[shell], *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )
        assert done.stderr == ""
        return [line for line in done.stdout.splitlines() if line]

    return run


SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(complete: Complete, shell: str) -> None:
    assert sorted(complete(shell, "xenvcpu", "st")) == ["start", "stop"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_domains_of_the_host_are_completed(complete: Complete, shell: str) -> None:
    assert sorted(complete(shell, "xenvcpu", "start", "")) == ["batch", "db", "web"]


@pytest.mark.parametrize("shell", SHELLS)
def test_presets_are_completed(complete: Complete, shell: str) -> None:
    assert complete(shell, "xenvcpu", "preset", "fl") == ["flat32"]


def test_inside_a_guest_the_domain_is_self(complete: Complete) -> None:
    assert complete("bash", "xenvcpu", "up", "", host="model:busy@web") == ["self"]


def test_a_host_that_the_line_names_is_the_one_that_is_asked(complete: Complete) -> None:
    # As bash divides it.
    assert complete("bash", "xenvcpu", "--host", "model", ":", "pvh", "list", "") == ["web"]


@pytest.mark.parametrize("host", ["dom0", "model:nowhere.json"])
def test_a_host_that_cannot_be_asked_has_nothing_to_offer(complete: Complete, host: str) -> None:
    assert complete("bash", "xenvcpu", "start", "", host=host) == []


@pytest.mark.parametrize("begun, offered", [((":",), "real16"), ((":", "fl"), "flat32")])
def test_a_preset_in_place_of_a_file_is_completed_behind_the_colon(
    complete: Complete, begun: tuple[str, ...], offered: str
) -> None:
    # As bash divides it.
    assert offered in complete("bash", "xenvcpu", "start", "web", "1", "preset", *begun)


def test_the_word_preset_is_completed_with_all_of_them(complete: Complete) -> None:
    assert "preset:long64" in complete("bash", "xenvcpu", "check", "pres")


def test_a_name_that_a_shell_would_read_as_more_than_a_word_is_not_offered(complete: Complete, tmp_path: Path) -> None:
    from xenvcpu.model import worldfile

    worldfile.new(str(tmp_path / "w.json"), "4.17", (("$(id)", 1), ("a b", 1), ("plain-1", 2)))
    assert complete("bash", "xenvcpu", "stop", "", host="model:w.json") == ["plain-1"]
