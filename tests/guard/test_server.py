# SPDX-License-Identifier: MIT
"""What a guard does when its program asks for less than it should, or is gone, and what it leaves alone then."""

from __future__ import annotations

import errno
import os
import uuid
from typing import Any, List

import pytest

from tests.guard.conftest import Stage
from tests.guard.test_guard import context, killed_in_a_change, online
from xenvcpu.capture import Capture
from xenvcpu.errors import GuardError
from xenvcpu.model.faults import RealCall
from xenvcpu.model.libraries import ModelLibraries

LOAD, PAUSE, UNPAUSE = "xc_domain_hvm_setcontext", "xc_domain_pause", "xc_domain_unpause"


def touch(stage: Stage) -> None:
    """The boot vcpu goes down in a change of which the guard has the capture."""
    web = stage.web
    stream = stage.port.read_context(web.domid, stage.port.context_buffer(web.domid))
    stage.keeper.touching(Capture(web.domid, web.info.handle, web.release, "start", (1, 2), stream))
    stage.xen.named("web").vcpus[0].is_down = True


def unpause_while_touching(stage: Stage) -> None:
    with stage.keeper.hold(stage.web.info) as deadline:
        stage.keeper.pause(stage.web.domid, deadline, bool)
        touch(stage)
        stage.keeper.unpause(stage.web.domid)


def test_a_domain_that_is_still_being_touched_is_put_back_before_it_runs(stage: Stage) -> None:
    unpause_while_touching(stage)
    calls = [call.name for call in stage.guards[0].calls if call.name in (LOAD, UNPAUSE)]
    assert calls == [LOAD, UNPAUSE] and online(stage) == [0]


def test_what_was_put_back_before_an_unpause_is_logged_once(stage: Stage) -> None:
    unpause_while_touching(stage)
    stage.keeper.close()
    (line,) = stage.audited_by_guard
    assert line.endswith(" 1,2 outcome=killed restored=yes")


def test_what_was_put_back_before_an_unpause_is_not_put_back_again(stage: Stage) -> None:
    unpause_while_touching(stage)
    assert stage.processes[0].journal.capture is None


def test_a_guard_that_has_nothing_to_put_back_logs_nothing(stage: Stage) -> None:
    with stage.keeper.hold(stage.web.info) as deadline:
        stage.keeper.pause(stage.web.domid, deadline, bool)
    stage.keeper.close()
    assert stage.audited_by_guard == [] and stage.xen.named("web").pause_count == 0


def test_a_guard_without_a_pause_leaves_those_of_others_when_it_ends(stage: Stage) -> None:
    with stage.keeper.hold(stage.web.info):
        stage.xen.named("web").pause_count = 1
    stage.keeper.close()
    assert stage.xen.named("web").pause_count == 1 and UNPAUSE not in stage.guards[0].counts


def die_in_a_change_of_a_domain_that_goes(stage: Stage, *, is_followed: bool) -> None:
    """The domain is destroyed in the middle of a change; another one may get its domid, and be paused."""
    web = stage.xen.named("web")
    with stage.keeper.hold(stage.web.info) as deadline:
        stage.keeper.pause(web.domid, deadline, bool)
        touch(stage)
        if is_followed:
            web.handle = uuid.UUID(int=99)
        else:
            del stage.xen.domains[web.domid]
    stage.keeper.close()


@pytest.mark.parametrize("is_followed", [False, True], ids=["no other", "another"])
def test_of_a_domain_that_is_gone_nothing_is_put_back_and_no_pause_given_back(
    stage: Stage, is_followed: bool
) -> None:
    die_in_a_change_of_a_domain_that_goes(stage, is_followed=is_followed)
    assert {LOAD, UNPAUSE}.isdisjoint(stage.guards[0].counts) and stage.audited_by_guard == []


def test_a_domain_that_xen_does_not_show_for_once_is_put_back_though(stage: Stage) -> None:
    with stage.keeper.hold(stage.web.info) as deadline:
        stage.keeper.pause(stage.web.domid, deadline, bool)
        touch(stage)
        stage.guards[0].fail("xc_domain_getinfolist", errno.ENOMEM)
    stage.keeper.close()
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)


def test_a_guard_that_could_not_open_xen_keeps_no_lock(stage: Stage) -> None:
    stage.prepare = lambda guard: guard.fail("xc_interface_open", errno.EACCES)
    with stage.keeper.hold(stage.web.info) as deadline:
        with pytest.raises(GuardError):
            stage.keeper.pause(stage.web.domid, deadline, bool)
    object.__setattr__(stage.keeper.patience, "waits", False)
    with stage.keeper.hold(stage.web.info):
        pass


def test_a_pause_that_is_not_given_back_at_first_is_tried_for_longer_each_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(guard: ModelLibraries) -> None:
        for _ in range(36):
            guard.fail(UNPAUSE, errno.EPERM)

    waited: List[float] = []
    monkeypatch.setattr("xenvcpu.guard.server.time.sleep", waited.append)
    stage.prepare = refuse
    killed_in_a_change(stage)
    assert stage.xen.named("web").pause_count == 0
    longer = [seconds for seconds in waited if seconds > 0.015]
    assert longer == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("function", [PAUSE, UNPAUSE])
def test_a_world_that_cannot_be_written_is_told_with_its_file(stage: Stage, function: str) -> None:
    def full(call: RealCall) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/world.json")

    def refuse(guard: ModelLibraries) -> None:
        for _ in range(9):
            guard.fail(function, full)

    stage.prepare = refuse
    if function == UNPAUSE:  # the program does it
        stage.web.start([1], context)
    else:
        with pytest.raises(OSError, match="/a/world.json") as caught:
            stage.web.start([1], context)
        assert caught.value.errno == errno.ENOSPC
    assert stage.xen.named("web").pause_count == 0
