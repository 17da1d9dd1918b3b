# SPDX-License-Identifier: MIT
"""Every command that is documented is executed: README, site, and the examples of `--help` and of the manual."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("click")

import click

from docs.generate import commands as generated
from docs.generate.page import Literal
from tests.docs import places
from tests.docs.blocks import ROOT, Block, Typed, blocks, inline, matches, pages, prose, text_of, typed
from tests.docs.session import FILES, Session, parts
from tests.lanes.stage import stages

PROGRAMS = "xenvcpu|xe|xl|make|tox|pip|apt(?:-get)?|dpkg|ansible[\\w-]*|pytest|virsh|systemctl"
FIRST = re.compile(rf"^\s*(\$ )?(?:sudo )?({PROGRAMS}) ", re.MULTILINE)
SHOWN = tuple(page for page in pages() if any(parts(blocks(page))))


def fails(session: Session, found: list[Block]) -> list[str]:
    """What did not end or print as it is documented."""
    told = []
    for said in session.run(parts(found)):
        if said.code != said.typed.exits:
            told.append(f"{said.typed.where}\nexited {said.code}:\n{said.output}")
        elif said.typed.output and not matches(said.typed.output, said.output):
            told.append(f"{said.typed.where}\nprinted:\n{said.output}")
    return told


@pytest.mark.parametrize("page", SHOWN)
def test_the_commands_of_a_document_do_what_it_shows(tmp_path: Path, page: str) -> None:
    for name in ("ansible", "libvirt"):
        if name in page:
            pytest.importorskip(name)
    session = Session(tmp_path, places.HOSTS.get(page, places.DOM0))
    assert "\n".join(fails(session, list(blocks(page)))) == ""


def examples() -> dict[str, Block]:
    """The examples of each command, from the page that `man` and the site have."""
    found = {}
    for path in generated.paths():
        name = " ".join(path)
        for section in generated._said(generated.context_of(path)):
            for block in section.blocks:
                if isinstance(block, Literal) and block.language == "console":
                    found[name] = Block(f"xenvcpu {name} --help", 1, "console", "", "\n".join(block.lines))
    return found


@pytest.mark.parametrize("name", examples())
def test_the_examples_of_help_work(tmp_path: Path, name: str) -> None:
    if name.startswith("libvirt"):
        pytest.importorskip("libvirt")
    session = Session(tmp_path, places.HOSTS.get(name, places.DOM0))
    files = [Block("", 0, "", file, text) for file, text in FILES.items()]
    assert "\n".join(fails(session, [*files, *BEFORE.get(name, ()), examples()[name]])) == ""


def _console(*lines: str) -> tuple[Block, ...]:
    return (Block("before", 0, "console", "", "\n".join(f"$ {line}" for line in lines)),)


BEFORE = {
    "stop": _console("xenvcpu start web 1-3 ap.toml"),
    "up": _console("xenvcpu start self 1 ap.toml", "xenvcpu stop self 1"),
    "decode": _console("xenvcpu encode ap.toml --as vcpu_hvm_context -o ap.bin"),
    **dict.fromkeys(("libvirt get", "libvirt remove", "libvirt start"), _console("xenvcpu libvirt set web web.toml")),
}
"""What must have been done before the examples of a command make sense."""


def test_every_command_of_ours_has_an_example_that_is_run() -> None:
    groups = {path[0] for path in generated.paths() if len(path) > 1}
    assert {" ".join(path) for path in generated.paths()} - groups == set(examples())


@pytest.mark.parametrize("page", pages())
def test_no_command_stands_where_it_is_not_run(page: str) -> None:
    """In a block of another language, one without a prompt, or one that is merely indented."""
    for block in blocks(page):
        if block.language == "console":
            assert block.text.startswith("$ "), f"{page}:{block.line}"
        elif not block.file and block.language != "python":
            assert not FIRST.search(block.text), f"{page}:{block.line}: {FIRST.search(block.text)}"
    indented = re.findall(r"^\n((?: {4,}.*\n)+)", prose(page), re.MULTILINE)
    assert [text for text in indented if FIRST.search(text)] == []


@pytest.mark.parametrize("page", pages())
def test_a_command_that_is_named_in_the_text_exists(page: str) -> None:
    for text in inline(page):
        if re.match(r"xenvcpu( |$)", text):
            assert unknown(text.split()[1:]) == [], f"{page}: `{text}`"


@pytest.mark.parametrize("page", pages())
def test_what_is_said_of_make_and_tox_exists(page: str) -> None:
    text = text_of(page)
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()} | set(stages())
    for target in re.findall(r"(?:`|^\$ |^    )make ([a-z0-9-]+)", text, re.MULTILINE):
        assert target in targets
    for name in re.findall(r"`tox -e ([a-z-]+)", text):
        assert name in stages()


def unknown(words: list[str]) -> list[str]:
    """The words of a command line that no command, or option of it, is; those in capitals the reader fills in."""
    context = generated.context_of(())
    left = []
    for number, word in enumerate(words):
        options = {name for each in context.command.get_params(context) for name in (*each.opts, *each.secondary_opts)}
        if word.startswith("-"):
            left += [] if word in options else [word]
        elif word.isupper():
            break
        elif isinstance(context.command, click.Group) and not (number and words[number - 1] == "--host"):
            if context.command.get_command(context, word) is None:
                return [*left, word]
            context = generated.context_of([*context.command_path.split()[1:], word])
    return left


def test_of_every_command_it_is_told_whether_a_real_xen_has_seen_it() -> None:
    told = [*places.NO_HOST, *places.ON_XEN, *places.NOT_YET_ON_XEN]
    assert sorted(told) == sorted([*examples(), "start self", "ansible-playbook"])


@pytest.mark.parametrize("shown_by", sorted({*places.ON_XEN.values()}))
def test_a_suite_that_shows_a_command_on_a_real_xen_is_there(shown_by: str) -> None:
    file, _, name = shown_by.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_what_runs_elsewhere_is_documented_and_is_shown_there() -> None:
    shown = [*(block for page in SHOWN for block in blocks(page)), *examples().values()]
    typed_ = [each.command for block in shown if block.language == "console" for each in typed(block)]
    for begins, shown_by in places.ELSEWHERE:
        assert any(command.startswith(begins) for command in typed_), f"{begins}: in no document"
        file, _, name = shown_by.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert (f"def {name}(" if file.endswith(".py") else name) in text, f"{begins}: no {name} in {file}"


def test_every_host_is_of_a_document_or_a_command() -> None:
    assert set(places.HOSTS) <= {*pages(), *examples()}


@pytest.mark.parametrize(
    "shown, printed, is_so",
    [
        (("a", "..."), "a\nb\nc\n", True), (("a", "...", "d"), "a\nb\nd\n", True), (("a", "..."), "b\na\n", False),
        (("for ... ms",), "for 1.2 ms\n", True), (("for ... ms",), "for 1\n2 ms\n", False), (("a.c",), "abc\n", False),
    ],
)
def test_dots_stand_for_what_varies(shown: tuple[str, ...], printed: str, is_so: bool) -> None:
    assert matches(shown, printed) is is_so


def test_commands_are_read_with_their_further_lines_and_their_output() -> None:
    block = Block("p", 5, "console", "", "$ a \\\n> b\none\n$ c    # exits 3\n")
    assert list(typed(block)) == [Typed("p", 5, "a \\\nb", 0, ("one",)), Typed("p", 8, "c    # exits 3", 3, ())]
