# SPDX-License-Identifier: MIT
"""`xenvcpu import`: from a log to the rule that explains it; and files of other kinds where a context is wanted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Callable

import pytest

Run = Callable[..., Any]

DUMPS = Path(__file__).parents[1] / "data" / "dumps"
NAMES = ("vmcs", "vmcb", "qemu", "hvmctx")


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["toml", "json"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_imported_is_a_context_file(run: Run, tmp_path: Path, name: str, option: tuple[str, ...]) -> None:
    file = tmp_path / "imported"
    file.write_text(run("import", DUMPS / f"{name}.txt", *option).out)
    assert 1032 == run("encode", file, "--as", "cpu_record", "--json").json["size"]
    assert run("check", file).out


def test_the_rule_that_a_failed_entry_broke_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "failed.toml"
    file.write_text(run("import", DUMPS / "vmcs.txt").out)
    ran = run("check", file, "--vendor", "intel")
    assert (3, True) == (ran.code, "fatal segment-type: tr_arbytes = 0x89: TR must be a busy TSS" in ran.out)


def test_a_comment_says_where_it_comes_from_and_what_is_not_in_it(run: Run) -> None:
    out = run("import", DUMPS / "qemu.txt").out
    assert out.startswith(f"# {DUMPS / 'qemu.txt'}:4: the output of QEMU's `info registers`; not in it")
    description = run("import", DUMPS / "qemu.txt", "--json").json["description"]
    assert "not in it, and zero here: sysenter_cs" in description


def test_of_several_the_user_chooses_one(run: Run) -> None:
    text = "".join((DUMPS / f"{name}.txt").read_text() for name in ("vmcb", "hvmctx"))
    ran = run("import", "-", stdin=text)
    assert (2, True) == (ran.code, "choose with --number one of 1 (line 10), 2 (line 37)" in ran.err), ran.err
    assert "rip = 0x100000\n" in run("import", "-", "--number", 1, stdin=text).out
    assert 'rip = "0xffffffff81c01234"\n' in run("import", "-", "--number", 2, stdin=text).out
    assert 2 == run("import", "-", "--number", 3, stdin=text).code


@pytest.mark.parametrize("text", ["", "hello\n", "(XEN) nothing\n", "*** Guest State ***\n", "\0\xff" * 99])
def test_what_has_no_registers_is_refused(run: Run, text: str) -> None:
    ran = run("import", "-", stdin=text)
    assert (1, "") == (ran.code, ran.out) and ran.err.startswith("xenvcpu: <stdin>")
    assert "FormatError" == json.loads(run("import", "-", "--json", stdin=text).err)["error"]["type"]


def test_a_file_that_no_log_could_be_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b" " * ((1 << 22) + 1))
    assert "larger than 4194304 bytes" in run("import", path).err
    path.write_bytes(gzip.compress(b"x"))
    assert f"xenvcpu: {path}: this is compressed by gzip: unpack it first, with `gunzip`\n" == run("import", path).err


@pytest.mark.parametrize("command", [("check",), ("encode", "--as", "cpu_record")], ids=lambda words: words[0])
def test_a_log_in_place_of_a_context_is_told_what_takes_it(run: Run, command: tuple[str, ...]) -> None:
    ran = run(command[0], DUMPS / "vmcs.txt", *command[1:])
    assert (1, True) == (ran.code, "not a context file: `xenvcpu import FILE` makes a context file of it" in ran.err)


def test_decode_says_what_a_file_of_another_kind_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "web.save"
    path.write_bytes(b"Xen saved domain, xl format\n \0 \r" + bytes(5000))
    ran = run("decode", path, "--as", "cpu_record")
    assert (1, True) == (ran.code, "this is a domain that `xl save` has saved, not a struct of cpu_record" in ran.err)
