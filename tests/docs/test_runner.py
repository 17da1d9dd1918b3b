# SPDX-License-Identifier: MIT
"""What runs the documented commands notices those that do otherwise; and which it does not run, the README says."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("click")

from tests.docs import places
from tests.docs.blocks import Block, blocks, pages, text_of, typed
from tests.docs.session import _STANDINS, Session, parts
from tests.docs.test_commands import FIRST, examples, fails, unknown

NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def run(folder: Path, *found: Block) -> list[str]:
    """What is told of blocks of one document."""
    return fails(Session(folder, places.NONE), list(found))


def console(text: str) -> Block:
    return Block("page.md", 1, "console", "", text)


@pytest.mark.parametrize("text", [
    "$ true\n", "$ echo a\na\n", "$ (exit 3)    # exits 3\n", "$ echo a; echo b\na\n...\n",
    "$ echo a > b\n$ cat b\na\n",
])
def test_a_command_that_does_what_is_shown_is_fine(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, console(text)) == []


@pytest.mark.parametrize(("text", "told"), [
    ("$ false\n", ["page.md:1: false\nexited 1:\n"]),
    ("$ true    # exits 3\n", ["page.md:1: true    # exits 3\nexited 0:\n"]),
    ("$ no-such-command 2>/dev/null\n", ["page.md:1: no-such-command 2>/dev/null\nexited 127:\n"]),
    ("$ echo b\na\n", ["page.md:1: echo b\nprinted:\nb\n"]),
    ("$ true\na\n", ["page.md:1: true\nprinted:\n"]),
    ("$ echo a; echo b\na\n", ["page.md:1: echo a; echo b\nprinted:\na\nb\n"]),
    ("$ exit 0\n$ true\n", ["page.md:1: exit 0\nexited -1:\n", "page.md:2: true\nexited -1:\n"]),
])
def test_a_command_that_does_otherwise_is_noticed(tmp_path: Path, text: str, told: list[str]) -> None:
    assert run(tmp_path, console(text)) == told


def test_an_example_of_python_that_fails_is_noticed(tmp_path: Path) -> None:
    (line,) = run(tmp_path, Block("page.md", 1, "python", "", "import xenvcpu\nxenvcpu.nothing\n"))
    assert "exited 1:" in line and "has no attribute 'nothing'" in line


def test_a_file_that_is_shown_is_what_the_commands_find(tmp_path: Path) -> None:
    file = Block("page.md", 1, "toml", "a.toml", "a = 1\n")
    assert run(tmp_path, file, console("$ cat a.toml\na = 1\n")) == []
    (line,) = run(tmp_path / "other", file._replace(text="a = 2\n"), console("$ cat a.toml\na = 1\n"))
    assert "printed:\na = 2" in line


@pytest.mark.parametrize("text", ["xenvcpu list", "$ sudo xl list", "  make test", "apt-get install x", "pip x"])
def test_a_command_in_a_block_of_another_language_is_noticed(text: str) -> None:
    assert FIRST.search(f"a line\n{text} \n")


@pytest.mark.parametrize(("line", "left"), [
    ("list web --json", []), ("--host model:pvh start web 1-3 FILE --any", []), ("libvirt set DOMAIN FILE", []),
    ("nosuch", ["nosuch"]), ("list --nosuch", ["--nosuch"]), ("libvirt nosuch", ["nosuch"]),
    ("--nosuch list", ["--nosuch"]),
])
def test_a_command_or_option_that_is_none_is_noticed(line: str, left: list[str]) -> None:
    assert unknown(line.split()) == left


def test_the_readme_says_how_many_commands_run_elsewhere_and_what_is_a_stand_in() -> None:
    shown = [*(block for page in pages() for block in blocks(page)), *examples().values()]
    every = [each.command for block in shown if block.language == "console" for each in typed(block)]
    run_here = [each.command for each in parts(shown) if hasattr(each, "command")]
    elsewhere = {
        other.begins for command in set(every) - set(run_here) for other in places.ELSEWHERE
        if command.startswith(other.begins)
    }
    programs = [*sorted(_STANDINS, reverse=True), "libvirt"]
    said = (
        f"`tests/docs/` runs every command in these documents and in `--help` but {NUMBERS[len(elsewhere)]}, which run"
        f" elsewhere; {', '.join(programs[:-1])} and {programs[-1]} are stand-ins there."
    )
    assert said in " ".join(text_of("README.md").split())
