# SPDX-License-Identifier: MIT
"""What a program does about a guard that is late, refuses, or answers nothing."""

from __future__ import annotations

import errno
import time
from typing import Any, Dict

import pytest

from tests.guard.conftest import Stage
from tests.guard.test_guard import context, die_in, online
from xenvcpu.errors import ChangeError, DeadlineError, DomainBusyError, GuardError, HypercallError
from xenvcpu.guard import keeper
from xenvcpu.guard.journal import Pause
from xenvcpu.left import Left
from xenvcpu.lock import domain_lock
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries

LOAD, UNPAUSE = "xc_domain_hvm_setcontext", "xc_domain_unpause"


def late(seconds: float) -> Any:
    def answer(call: RealCall) -> Any:
        time.sleep(seconds)
        return call()

    return answer


def test_a_domain_that_another_program_drives_is_named(stage: Stage) -> None:
    patience = stage.keeper.patience
    object.__setattr__(patience, "waits", False)
    with domain_lock(stage.web.info.handle, stage.folder, patience, patience.begin()):
        with pytest.raises(DomainBusyError) as caught:
            stage.web.start([1], context)
    assert caught.value.domid == stage.web.domid


def test_after_a_guard_that_was_too_late_another_one_serves(stage: Stage) -> None:
    stage.prepare = lambda guard: guard.fail("xc_domain_pause", late(0.6)) if len(stage.guards) == 1 else None
    object.__setattr__(stage.keeper.patience, "timeout", 0.2)
    with pytest.raises(DeadlineError):
        stage.web.start([1], context)
    object.__setattr__(stage.keeper.patience, "timeout", 60)
    stage.web.start([1], context)
    assert len(stage.guards) == 2 and (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


def test_after_a_guard_that_could_not_open_xen_another_one_serves(stage: Stage) -> None:
    stage.prepare = lambda guard: guard.fail("xc_interface_open", errno.EACCES) if len(stage.guards) == 1 else None
    with pytest.raises(GuardError):
        stage.web.start([1], context)
    stage.web.start([1], context)
    assert len(stage.guards) == 2 and online(stage) == [0, 1]


def test_a_guard_that_is_late_to_unpause_is_killed_and_its_pause_not_given_back_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_ANSWER", 0.2)
    stage.prepare = lambda guard: guard.fail(UNPAUSE, late(0.6))
    stage.web.start([1], context)
    assert stage.guards[0].is_killed and UNPAUSE not in stage.libraries.counts
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


def test_a_pause_that_the_guard_cannot_give_back_the_program_gives_back(stage: Stage) -> None:
    def refuse(guard: ModelLibraries) -> None:
        for _ in range(9):
            guard.fail(UNPAUSE, errno.EPERM)

    stage.prepare = refuse
    stage.web.start([1], context)
    assert stage.libraries.counts[UNPAUSE] == 1
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


@pytest.mark.parametrize("how", ["dies", "late"])
def test_a_guard_that_does_not_put_back_leaves_that_to_be_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def load(call: RealCall) -> Any:
        answer = call()
        guard = stage.guards[0]
        if how == "dies":
            die_in(guard, "xc_domain_getinfolist", "before")
        else:
            guard.fail("xc_domain_getinfolist", late(0.6))
        stage.libraries.vanish()
        return answer

    monkeypatch.setattr(keeper, "_ANSWER", 0.2)
    stage.libraries.fail(LOAD, load)
    with pytest.raises(HypercallError) as caught:
        stage.web.start([1], context)
    assert stage.guards[0].is_killed
    assert caught.value.restored is False and any("vcpu 1 may be initialised" in line for line in caught.value.left)


def test_a_signal_ends_the_wait_for_a_guard_that_is_in_xen(stage: Stage) -> None:
    stage.prepare = lambda guard: guard.fail("xc_domain_pause", late(0.6))
    with stage.keeper.hold(stage.web.info) as deadline, pytest.raises(DeadlineError):
        stage.keeper.pause(stage.web.domid, deadline, lambda: True)
    assert stage.xen.named("web").pause_count == 0


@pytest.mark.parametrize(("within", "did"), [(Pause.TAKING, "took"), (Pause.GIVING, "gave back")])
def test_of_a_guard_that_died_while_others_held_a_pause_it_is_said_what_it_did(
    stage: Stage, within: Pause, did: str
) -> None:
    stage.xen.named("web").pause_count = 1
    with stage.keeper.hold(stage.web.info):
        guard = stage.processes[0]
        guard.kill()
        guard.journal.pause, guard.journal.was_paused = within, True
        with pytest.raises(ChangeError, match=f"the guard died while it {did} its pause"):
            stage.keeper.unpause(stage.web.domid)
    assert stage.xen.named("web").pause_count == 1


@pytest.mark.parametrize("within", [Pause.TAKING, Pause.GIVING, Pause.HELD])
@pytest.mark.parametrize("pauses", [0, 1])
def test_the_pause_of_a_guard_that_died_is_given_back_if_it_is_there(stage: Stage, within: Pause, pauses: int) -> None:
    stage.xen.named("web").pause_count = pauses
    with stage.keeper.hold(stage.web.info):
        guard = stage.processes[0]
        guard.kill()
        guard.journal.pause = within
        if pauses or within is not Pause.HELD:
            stage.keeper.unpause(stage.web.domid)
        else:
            with pytest.raises(HypercallError, match="xc_domain_unpause"):
                stage.keeper.unpause(stage.web.domid)
    assert stage.xen.named("web").pause_count == 0


LEFT, LESS = Left(down=(1, 2)), Left(down=(2,), other=("a line",))


@pytest.mark.parametrize(("answer", "left"), [
    ({"left": None}, Left()), ({"left": Left().as_dict()}, Left()), ({"left": LESS.as_dict()}, LESS),
    ({"errno": errno.ENOMEM, "message": "no memory", "log": ""}, LEFT),
], ids=["domain gone", "all put back", "some put back", "failed"])
def test_what_is_left_is_what_the_guard_answers_and_all_if_it_failed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, answer: Dict[str, Any], left: Left
) -> None:
    with stage.keeper.hold(stage.web.info):
        monkeypatch.setattr(stage.processes[0], "ask", lambda *arguments: answer)
        assert stage.keeper.put_back(LEFT) == left
