# SPDX-License-Identifier: MIT
"""What judges the endings notices each way in which one can be bad, and lets the good ones pass."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional, Sequence

import pytest
from promises import processes
from promises.guarded import Trouble, _require_kept_as_told
from promises.operations import CHANGES, FEW, cases
from promises.processes import Program, aftermath, guards_of
from promises.programs import require_clocks, require_nothing_open, world_before
from promises.snapshots import Snapshot, differing, names, snapshot, with_value
from promises.sweeps import Scene, sweep
from promises.verdicts import Ending, Lost, Verdict, judge, require_lock_free

from xenvcpu.errors import StartError
from xenvcpu.host import Host
from xenvcpu.left import DONE as ALL_IS_DONE
from xenvcpu.model import worldfile, worlds
from xenvcpu.model.libraries import ModelLibraries

BEFORE = snapshot(worlds.pvh())
DONE = with_value(with_value(BEFORE, "web.1.is_initialised", True), "web.1.is_down", False)
OTHER = with_value(DONE, "web.2.is_down", False)
SPENT = with_value(BEFORE, "web.1.is_initialised", True)
"""Vcpu 1 is initialised and down; it may come to be fresh."""
CASE = cases(CHANGES[:1], FEW[:1])[0]


def paused(world: Snapshot) -> Snapshot:
    return with_value(world, "web.pause_count", 1)


def ours(restored: Optional[bool] = None, left: Sequence[str] = (), kept: Optional[str] = None) -> StartError:
    error = StartError("failed", domid=1, restored=restored)
    error.left, error.kept = tuple(left), kept
    return error


@pytest.mark.parametrize(("now", "error", "verdict"), [
    (DONE, None, Verdict.DONE),
    (DONE, ours(False), Verdict.DONE),
    (DONE, KeyboardInterrupt(), Verdict.DONE),
    (BEFORE, ours(), Verdict.RESTORED),
    (BEFORE, ours(True), Verdict.RESTORED),
    (BEFORE, ours(False, ["vcpu 1 may be down"]), Verdict.RESTORED),
    (BEFORE, KeyboardInterrupt(), Verdict.RESTORED),
    (OTHER, ours(False, ["vcpu 1 is down", "vcpu 2 is down"]), Verdict.TOLD),
    (paused(BEFORE), ours(False, ["domain 1 is still paused"]), Verdict.TOLD),
    (paused(DONE), ours(False, [ALL_IS_DONE, "domain 1 is still paused"]), Verdict.TOLD),
])
def test_a_good_ending_is_called_what_it_is(now: Snapshot, error: Any, verdict: Verdict) -> None:
    assert judge(Ending(BEFORE, DONE, now, error), (KeyboardInterrupt,)) is verdict


@pytest.mark.parametrize(("now", "error", "why"), [
    (BEFORE, RuntimeError(), "an error of another kind"),
    (DONE, MemoryError(), "an error of another kind"),
    (BEFORE, None, "no error, and not done"),
    (OTHER, None, "no error, and not done"),
    (BEFORE, ours(False), "as before, and said not to be"),
    (BEFORE, ours(None, ["vcpu 1 is down"]), "as before, and said not to be"),
    (BEFORE, ours(False, ["vcpu 1 may be down", "vcpu 2 is down"]), "as before, and said not to be"),
    (BEFORE, ours(True, kept="/kept"), "as before, and said not to be"),
    (DONE, ours(), "done, and not said to be"),
    (DONE, ours(True), "done, and not said to be"),
    (OTHER, KeyboardInterrupt(), "not told"),
    (OTHER, ours(None, ["vcpu 1", "vcpu 2"]), "not told"),
    (OTHER, ours(True, ["vcpu 1", "vcpu 2"]), "not told"),
    (OTHER, ours(False), "not told"),
    (OTHER, ours(False, ["vcpu 2 is down"]), "not all that is left is told"),
    (OTHER, ours(False, ["vcpu 1 is down", "vcpu 21 is down"]), "not all that is left is told"),
    (OTHER, ours(False, [ALL_IS_DONE]), "not all that is left is told"),
    (paused(BEFORE), ours(False, ["vcpu 1 is down"]), "not all that is left is told"),
    (paused(DONE), ours(False, [ALL_IS_DONE]), "not all that is left is told"),
])
def test_a_bad_ending_is_noticed(now: Snapshot, error: Any, why: str) -> None:
    with pytest.raises(Lost, match=why):
        judge(Ending(BEFORE, DONE, now, error), (KeyboardInterrupt,))


def test_a_vcpu_that_had_been_initialised_may_come_to_be_fresh() -> None:
    assert judge(Ending(SPENT, DONE, BEFORE, ours()), spent=frozenset({"web.1"})) is Verdict.FRESH


@pytest.mark.parametrize(("before", "now", "spent"), [
    (SPENT, BEFORE, "web.2"),
    (SPENT, with_value(BEFORE, "web.2.is_initialised", True), "web.1"),
    (SPENT, paused(BEFORE), "web.1"),
    (with_value(SPENT, "web.1.is_down", False), BEFORE, "web.1"),
    (BEFORE, SPENT, "web.1"),
    (BEFORE, with_value(BEFORE, "web.1.registers", b"others"), "web.1"),
])
def test_nothing_else_may_come_to_be_fresh(before: Snapshot, now: Snapshot, spent: str) -> None:
    with pytest.raises(Lost, match="not told"):
        judge(Ending(before, DONE, now, ours()), spent=frozenset({spent}))


@pytest.mark.parametrize("owner", ["web", "web.0"])
def test_each_value_of_a_world_is_compared(owner: str) -> None:
    for name in names(owner):
        path = f"{owner}.{name}"
        assert differing(BEFORE, with_value(BEFORE, path, object())) == (path,)
    gone = {name: values for name, values in BEFORE.items() if name != owner}
    assert differing(BEFORE, gone) == differing(gone, BEFORE) == (owner,)


def test_a_lock_that_is_held_is_noticed(tmp_path: Path) -> None:
    with (tmp_path / "x.lock").open("w") as file:
        require_lock_free(tmp_path)
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Lost, match="x.lock is held"):
            require_lock_free(tmp_path)


def test_a_handle_that_is_left_open_is_noticed() -> None:
    libraries = ModelLibraries(worlds.pvh())
    with Host("model", libraries) as host:
        assert host.domains()
        with pytest.raises(Lost, match="not given back"):
            require_nothing_open(libraries, {}, None)
    require_nothing_open(libraries, {}, None)


def test_a_clock_that_went_back_is_noticed() -> None:
    world = world_before(CASE)
    require_clocks(CASE, world)
    world.named("web").vcpus[0].tsc_offset -= 1
    with pytest.raises(Lost, match="the TSC of .* went back"):
        require_clocks(CASE, world)


def test_a_file_that_is_kept_and_that_no_error_names_is_noticed(tmp_path: Path) -> None:
    _require_kept_as_told(tmp_path, ours())
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/1.capture.json").write_text("{}")
    with pytest.raises(Lost, match="the error names None"):
        _require_kept_as_told(tmp_path, ours())


def test_a_file_that_an_error_names_and_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No such file"):
        _require_kept_as_told(tmp_path, ours(False, kept=str(tmp_path / "kept/1.json")))


def test_a_guard_that_does_not_end_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "world.json"
    worldfile.new(str(path))
    words = f"model:{path} xenvcpu.guard.main"
    code = "print(flush=True); input()"
    guard = subprocess.Popen([sys.executable, "-c", code, words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert guard.stdout is not None and guard.stdout.readline()
    monkeypatch.setattr(processes, "PATIENCE", 0.0)
    try:
        assert guards_of(path) == (guard.pid,)
        with pytest.raises(Lost, match="a guard is left"):
            aftermath(Program(0, path, 0))
    finally:
        guard.communicate(b"\n")
    assert aftermath(Program(0, path, 0)).world["web.0"]


def test_a_run_that_loses_something_is_counted_as_lost(tmp_path: Path) -> None:
    def spoil(libraries: ModelLibraries) -> None:
        libraries.host.named("web").vcpus[2].is_initialised = True

    scenes = [Scene("nothing", Trouble()), Scene("spoilt", Trouble(program=spoil))]
    tally = sweep(CASE, tmp_path, scenes, what="kills")
    assert tally.counts == {"kills": 2, "done": 1, "lost": 1}
    with pytest.raises(AssertionError, match="1 of 2, first spoilt: no error, and not done"):
        tally.require_none_lost()
