# SPDX-License-Identifier: MIT
"""The runner, before a stand-in for atheris."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RUNNER = Path(__file__).with_name("fuzz.py")
STAND_IN = """
import contextlib, os, pathlib, sys
instrument_imports = lambda include: contextlib.nullcontext()
def Setup(arguments, examine):
    global fuzz
    options = dict(item.split("=", 1) for item in arguments if item.startswith("-"))
    assert {"-max_total_time", "-timeout", "-rss_limit_mb", "-max_len", "-dict"} <= set(options)
    def fuzz():
        inputs = sorted(pathlib.Path(arguments[-1]).iterdir())
        for path in inputs:
            examine(path.read_bytes())
        if os.environ.get("CRASH") == "idle":
            sys.exit(0)
        print("stat::number_of_executed_units:", 1000 * len(inputs))
        if os.environ.get("CRASH") == "kept":
            pathlib.Path(options["-artifact_prefix"] + "crash-1").write_bytes(b"")
        if "CRASH" in os.environ:
            sys.exit(77)
        sys.exit(0)
def Fuzz():
    fuzz()
"""


def fuzz(tmp_path: Path, *arguments: object, atheris: str = STAND_IN, **environment: str) -> tuple[int, str, str]:
    (tmp_path / "atheris.py").write_text(atheris)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ran = subprocess.run(
        [sys.executable, str(RUNNER), *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, **environment, "PYTHONPATH": path},
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_each_target_has_its_line_and_all_have_a_total(tmp_path: Path) -> None:
    code, out, _ = fuzz(tmp_path, "cpu_msr", "expression", "--seconds", 1)
    assert code == 0
    assert out.splitlines() == [
        "cpu_msr: 1,000 runs, 0 crashes", "expression: 11,000 runs, 0 crashes", "2 targets: 12,000 runs, 0 crashes",
    ]
    assert not (tmp_path / "fuzz-crashes").exists()


def test_a_crash_fails_and_is_kept_with_what_repeats_it(tmp_path: Path) -> None:
    code, out, _ = fuzz(tmp_path, "cpu_msr", "--seconds", 1, CRASH="kept")
    kept = Path("fuzz-crashes", "cpu_msr", "crash-1")
    assert code == 1 and (tmp_path / kept).exists()
    assert f"cpu_msr: 1,000 runs, 1 crash\n  repeat it: {sys.executable} {RUNNER} cpu_msr --input {kept}\n" in out
    assert fuzz(tmp_path, "cpu_msr", "--input", kept)[0] == 0


def test_a_process_that_dies_without_an_input_fails_too(tmp_path: Path) -> None:
    code, out, _ = fuzz(tmp_path, "cpu_msr", "--seconds", 1, CRASH="lost")
    assert code == 1 and "exit-code-77" in out and "repeat" not in out


def test_a_process_that_tried_no_input_fails_too(tmp_path: Path) -> None:
    code, out, _ = fuzz(tmp_path, "cpu_msr", "--seconds", 1, CRASH="idle")
    assert code == 1 and "cpu_msr: 0 runs, 1 crash" in out and "no-runs: it ended so without an input" in out


def test_without_atheris_it_says_so_and_exits_5(tmp_path: Path) -> None:
    code, out, err = fuzz(tmp_path, atheris="raise ImportError(1)")
    assert (code, out) == (5, "")
    assert "atheris is not installed" in err and "xenvcpu[fuzz]" in err


def test_a_target_that_is_none_is_told_with_those_there_are(tmp_path: Path) -> None:
    code, _, err = fuzz(tmp_path, "save_straem")
    assert code != 0 and "save_stream, saved_state" in err
