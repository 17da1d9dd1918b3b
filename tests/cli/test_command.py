# SPDX-License-Identifier: MIT
"""The command as a process: start-up, exit codes, signals and pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from xenvcpu import __version__, errors
from xenvcpu.cli import exits
from xenvcpu.cli.exits import Exit, exit_of
from xenvcpu.cli.root import COMMANDS
from xenvcpu.model import worldfile

Run = Callable[..., Any]

COMMAND = [sys.executable, "-m", "xenvcpu"]
TESTED = Path(errors.__file__).parents[1]
"""Where the package under test lies, installed or not."""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTED)}


def process(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *arguments], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENVIRONMENT, cwd="/",
    )


def finished(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, check=False, cwd="/", **{"env": ENVIRONMENT, **options})


def test_help_names_every_command_and_every_exit_code(run: Run) -> None:
    text = run("--help").out
    assert all(name in text for name in COMMANDS)
    assert all(meaning in text for meaning in exits.MEANINGS.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    ran = run(name, "--help")
    assert (0, True) == (ran.code, ran.out.startswith("Usage: xenvcpu"))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("completion", "model")])
def test_every_command_that_prints_has_json(run: Run, name: str) -> None:
    assert "--json" in run(name, "--help").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell(run: Run, shell: str) -> None:
    assert "_XENVCPU_COMPLETE" in run("completion", shell).out


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert __version__ in run("--version").out


def test_a_wrong_command_line_exits_2(run: Run) -> None:
    assert [2, 2, 2] == [run("nonsense").code, run("check").code, run("encode", "x", "--as", "y").code]


@pytest.mark.parametrize(("wrong", "words"), [("strat", "Did you mean 'start'?"), ("xyz", "No such command 'xyz'.")])
def test_a_command_that_is_misspelt_is_told_the_right_name(run: Run, wrong: str, words: str) -> None:
    ran = run(wrong, "web")
    assert (2, True) == (ran.code, ran.err.endswith(f"{words}\n"))


@pytest.mark.parametrize("line", ["check ", "start web 1 ", "encode ", "decode ", "model show "])
def test_a_shell_completes_files(line: str) -> None:
    words = f"xenvcpu {line}ap"
    environment = {
        **ENVIRONMENT, "_XENVCPU_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))
    }
    assert "file,ap\n" == finished(COMMAND, env=environment, capture_output=True).stdout


def test_the_commands_of_a_group_are_described_in_whole_sentences(run: Run) -> None:
    assert "..." not in run("model", "--help").out.partition("Commands:")[2]


def test_every_error_has_the_exit_code_of_its_kind() -> None:
    cases: dict[Exit, list[errors.XenVcpuError]] = {
        Exit.FAILED: [
            errors.FormatError("x"), errors.DomainError("x"), errors.ContextError("x"),
            errors.ContextFileError("x", rule="range"), errors.StartError("x", domid=1),
        ],
        Exit.REFUSED: [errors.ContextError("x", rule="range")],
        Exit.XEN: [errors.HypercallError("op", 22), errors.AlreadyInitialisedError("op", 17)],
        Exit.HOST: [
            errors.RestrictedError("x"), errors.LibraryMissingError("x"), errors.InterfaceMismatchError("op", 13),
        ],
    }
    assert {code: {code} for code in cases} == {code: set(map(exit_of, each)) for code, each in cases.items()}


def test_an_error_of_a_command_is_json_when_asked(run: Run) -> None:
    ran = run("encode", "/nowhere", "--as", "cpu_record", "--json")
    error = json.loads(ran.err)["error"]
    assert ("", 1, "ContextFileError", 1) == (ran.out, ran.code, error["type"], error["exit"])


@pytest.mark.parametrize(
    "words", [("start",), ("nonsense",), ("--nonsense",), ("list", "--nonsense")], ids=lambda words: words[0]
)
def test_a_usage_error_is_json_when_asked(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words[:-1], "--json", words[-1])
    error = json.loads(ran.err)["error"]
    assert ("", 2, 2) == (ran.out, ran.code, error["exit"])
    assert error["usage"].startswith("Usage: xenvcpu") and error["message"]


def test_a_word_behind_the_options_end_asks_for_no_json(run: Run) -> None:
    assert run("nonsense", "--", "--json").err.startswith("Usage: ")


def test_help_imports_neither_commands_nor_rules_nor_rich() -> None:
    code = (
        "import sys; sys.argv = ['xenvcpu', '--help']; from xenvcpu.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('xenvcpu.cli.commands', 'xenvcpu.rules', 'xenvcpu.model', 'rich', '_cffi')\n"
        "print([name for name in sys.modules if name.startswith(heavy)], file=sys.stderr)"
    )
    ran = finished([sys.executable, "-c", code], capture_output=True)
    assert "[]\n" == ran.stderr


def test_ctrl_c_exits_130_without_a_traceback() -> None:
    with process("check", "-", "--jsonl") as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(b"x\n")
        running.stdin.flush()
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == b""
        assert (130, b"xenvcpu: interrupted\n") == (running.wait(60), running.stderr.read() if running.stderr else None)


def test_a_reader_that_goes_away_is_no_error_to_speak_of() -> None:
    with process("check", "-", "--jsonl") as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(b"x\n")
        running.stdin.flush()
        running.stdout.readline()
        running.stdout.close()
        try:
            for _ in range(50):
                running.stdin.write(b"x\n" * 1000)
                running.stdin.flush()
                time.sleep(0.01)
        except BrokenPipeError:
            pass
        assert b"" == running.stderr.read()


def test_output_into_a_closed_pipe_is_quiet_for_a_short_command_too() -> None:
    read, write = os.pipe()
    os.close(read)
    ran = finished([*COMMAND, "preset"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert "" == ran.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["preset"], ["encode", "preset:flat32", "--as", "cpu_record"]])
def test_a_full_disk_is_said_and_exits_1(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ran = finished([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE)
    assert (1, "xenvcpu: No space left on device\n") == (ran.returncode, ran.stderr)


@pytest.fixture
def web(tmp_path: Path) -> str:
    """The `--host` spec of a world file with a domain `web`."""
    worldfile.new(str(tmp_path / "world.json"))
    return f"model:{tmp_path / 'world.json'}"


START = ("start", "web", "1-3", "preset:flat32")
CHANGES = (START, ("stop", "web", "0", "--allow-last"), ("model", "new", "{folder}/other.json"))
DONE = {"start": "started vcpus 1-3 of web", "stop": "stopped vcpu 0 of web", "model": "made "}


@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("arguments", CHANGES, ids=lambda words: words[0])
def test_a_change_whose_report_finds_a_full_disk_is_no_failed_change(
    web: str, tmp_path: Path, arguments: tuple[str, ...], json_option: tuple[str, ...]
) -> None:
    words = [word.format(folder=tmp_path) for word in arguments]
    with open("/dev/full", "wb") as full:
        ran = finished([*COMMAND, "--host", web, *words, *json_option], stdout=full, stderr=subprocess.PIPE)
    assert Exit.UNREPORTED == ran.returncode
    assert DONE[words[0]] in ran.stderr and "the report could not be written: No space left on device" in ran.stderr
    assert not json_option or json.loads(ran.stderr)["error"]["exit"] == Exit.UNREPORTED


def test_a_start_whose_report_nobody_reads_is_no_failed_start(web: str) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = finished([*COMMAND, "--host", web, *START], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (Exit.UNREPORTED, True) == (ran.returncode, "xenvcpu: started vcpus 1-3 of web; the report" in ran.stderr)


def test_a_start_with_no_room_for_any_word_ends_with_the_code_for_it(web: str) -> None:
    with open("/dev/full", "wb") as full:
        ran = finished([*COMMAND, "--host", web, *START], stdout=full, stderr=full)
    assert Exit.UNREPORTED == ran.returncode


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "--json"), ("--help",), ("list", "--help"), ("encode", "preset:pvh", "--as", "cpu_record")],
    ids=" ".join,
)
def test_a_command_whose_reader_goes_away_ends_as_by_sigpipe(web: str, arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = finished([*COMMAND, "--host", web, *arguments], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (128 + signal.SIGPIPE, "") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize(
    ("redirection", "arguments", "expected"),
    [
        (">&-", "preset", (0, "")),
        (">&-", "encode preset:flat32 --as cpu_record", (0, "")),
        ("<&-", "check - --jsonl", (0, "")),
        ("<&-", "decode - --as cpu_record", (1, "xenvcpu: a CPU record is 1032 bytes (1024 in Xen 4.6), got 0\n")),
        ("2>&-", "check nothing.toml", (1, "")),
    ],
)
def test_a_closed_standard_stream_is_as_the_null_device(
    redirection: str, arguments: str, expected: tuple[int, str]
) -> None:
    ran = finished(["sh", "-c", f'"$0" -m xenvcpu {arguments} {redirection}', sys.executable], capture_output=True)
    assert expected == (ran.returncode, ran.stderr)


def test_a_file_that_cannot_be_written_is_said(run: Run) -> None:
    command = ("encode", "preset:flat32", "--as", "cpu_record", "-o", "/nowhere/x")
    assert (1, "xenvcpu: /nowhere/x: No such file or directory\n") == run(*command)[:3:2]
    assert "No such file" in json.loads(run(*command, "--json").err)["error"]["message"]


@pytest.mark.parametrize(
    "click", ["raise ModuleNotFoundError('No module named click', name='click')", "class Parameter: pass"],
    ids=["none", "click 7"],
)
def test_without_click_8_the_command_says_what_to_install(tmp_path: Path, click: str) -> None:
    (tmp_path / "click.py").write_text(click)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    ran = finished([*COMMAND, "list"], env=environment, capture_output=True)
    assert (5, True, False) == (ran.returncode, "pip install 'click>=8'" in ran.stderr, "Traceback" in ran.stderr)


def test_the_environment_chooses_the_host(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENVCPU_HOST", "model:busy")
    assert "db" in run("list").out


@pytest.mark.parametrize("line", [("--host", "model:pvh", "list"), ("list", "--host", "model:pvh")])
def test_a_host_that_is_given_wins_over_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.setenv("XENVCPU_HOST", "model:busy")
    assert "db" not in run(*line).out


def test_a_host_in_the_environment_that_is_none_is_a_wrong_command_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENVCPU_HOST", "nonsense")
    assert run("list").code == 2
