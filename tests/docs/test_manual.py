# SPDX-License-Identifier: MIT
"""The manual: what stands in it, and that `man` can read it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("click")

from docs.generate import __main__ as generate
from docs.generate import commands, contextfile, roff
from docs.generate.page import Literal, Page, Paragraph, Section
from xenvcpu.cli.exits import MEANINGS
from xenvcpu.cli.root import COMMANDS
from xenvcpu.rules.catalogue import catalogue
from xenvcpu.toolstacks import declaration

NAMES = ("xenvcpu.1", *(f"xenvcpu-{name}.1" for name in COMMANDS))
CHECKERS = {
    "groff": ("groff", "-man", "-ww", "-Tutf8"),
    "mandoc": ("mandoc", "-T", "lint", "-W", "warning"),
    "man": ("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8"),
}


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {page.file: page for page in generate.manual()}


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    generate.write("man", folder)
    return folder


def test_every_command_has_a_page_and_so_have_context_files_and_rules(pages: dict[str, Page]) -> None:
    assert sorted(pages) == sorted((*NAMES, "xenvcpu-context.5", "xenvcpu-rules.7"))


def test_every_page_that_another_leads_to_is_there(pages: dict[str, Page]) -> None:
    led_to = {name for page in pages.values() for name in page.related}
    assert led_to - set(pages) == {"xl.1"}


@pytest.mark.parametrize("path", commands.paths(), ids=" ".join)
def test_what_help_says_stands_on_the_page(pages: dict[str, Page], path: tuple[str, ...]) -> None:
    text = roff.write(pages[f"xenvcpu-{path[0]}.1"], "1")
    context = commands.context_of(path)
    for term, meaning in commands.options(context).entries:
        assert f"\\fB{roff.escape(term)}\\fR\n{roff.marked(meaning)}" in text
    for block in commands.texts(context.command.help or ""):
        assert isinstance(block, Paragraph) and roff.marked(block.text) in text


@pytest.mark.parametrize("path", commands.paths(), ids=" ".join)
def test_every_command_that_does_something_shows_how_it_is_typed(path: tuple[str, ...]) -> None:
    context = commands.context_of(path)
    is_group = hasattr(context.command, "commands")
    assert is_group or f"$ {context.command_path}" in (context.command.epilog or "")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_a_command_has_the_exit_codes(pages: dict[str, Page], name: str) -> None:
    text = roff.write(pages[name], "1")
    assert all(f"\\fB{int(code)}\\fR\n{roff.marked(meaning)}" in text for code, meaning in MEANINGS.items())


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_reader_of_manuals_has_no_warnings(manual: Path, checker: str) -> None:
    if shutil.which(checker) is None:
        pytest.skip(f"no {checker} here")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    files = sorted(manual.rglob("*.*"))
    assert len(files) == len(NAMES) + 2
    for path in files:
        done = subprocess.run([*CHECKERS[checker], str(path)], env=environment, capture_output=True, text=True)
        said = done.stderr + (done.stdout if checker == "mandoc" else "")
        assert (done.returncode, said) == (0, ""), path.name


def test_text_that_looks_like_roff_is_shown_as_it_is() -> None:
    page = Page("x", 1, "y", (), (Section("Z", (Paragraph(".so a\\fBb 'c' `-d` \"e\" ~^"),)),))
    text = roff.write(page, "1")
    assert "\\&.so a\\efBb \\(aqc\\(aq \\fB\\-d\\fR \\(dqe\\(dq \\(ti\\(ha" in text


def test_a_manual_is_the_same_when_it_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first, again = dict(generate.files("man")), dict(generate.files("man"))
    assert first == again and '"1970-01-01"' in first["man1/xenvcpu.1"]


def test_the_files_that_the_page_of_context_files_shows_are_read() -> None:
    shown = [block for section in contextfile.page().sections for block in section.blocks if isinstance(block, Literal)]
    assert [block.language for block in shown] == ["toml", "toml"]
    for block in shown:
        assert declaration.parse("\n".join(block.lines)).template.render(1)


def test_every_rule_has_an_example_and_what_xen_prints_where_it_prints(pages: dict[str, Page]) -> None:
    rules = pages["xenvcpu-rules.7"]
    named = [part.title for section in rules.sections for part in section.parts]
    assert {entry.name for entry in catalogue()} < set(named)
    text = roff.write(rules, "1")
    assert "(XEN) Bad CR4" in text
    assert text.count("\\fBExample\\fR") == len(catalogue())
