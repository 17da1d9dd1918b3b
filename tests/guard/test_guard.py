# SPDX-License-Identifier: MIT
"""A start with a guard: who pauses, and what is left when either of the two fails."""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any, List

import pytest

from xenvcpu import keptfile, putback
from xenvcpu.capture import Capture
from xenvcpu.context.presets import flat32
from xenvcpu.deadline import Patience
from xenvcpu.errors import (
    ChangeError, DeadlineError, DomainBusyError, DomainChangedError, GuardError, HypercallError, NoSuchDomainError,
)
from xenvcpu.guard import server
from xenvcpu.guard.journal import Journal, Pause
from xenvcpu.left import DONE
from xenvcpu.lock import domain_lock
from xenvcpu.model.answer import Refused
from xenvcpu.model.faults import Killed, RealCall
from xenvcpu.model.libraries import ModelLibraries

from .conftest import Stage


def context(vcpuid: int) -> Any:
    return flat32(0x100000, 0x80000 + 0x1000 * vcpuid)


def online(stage: Stage) -> List[int]:
    return [vcpu.vcpuid for vcpu in stage.xen.named("web").vcpus if not vcpu.is_down]


def test_the_guard_pauses_and_unpauses_and_the_program_does_the_rest(stage: Stage) -> None:
    stage.web.start([1, 2], context)
    assert {"xc_domain_pause", "xc_domain_unpause"} <= set(stage.guards[0].counts)
    assert not {"xc_domain_pause", "xc_domain_unpause"} & set(stage.libraries.counts)
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1, 2], 0)


def test_one_guard_serves_many_changes(stage: Stage) -> None:
    for _ in range(3):
        stage.web.start([1], context)
        stage.web.stop([1])
    assert len(stage.guards) == 1


def test_a_refusal_of_the_pause_is_told_as_the_program_would_be(stage: Stage) -> None:
    stage.prepare = lambda libraries: libraries.fail("xc_domain_pause", errno.EOVERFLOW)
    with pytest.raises(HypercallError, match="255 pauses") as caught:
        stage.web.start([1], context)
    assert caught.value.op == "xc_domain_pause" and online(stage) == [0]
    object.__setattr__(stage.keeper.patience, "waits", False)
    stage.web.start([1], context)  # the guard keeps no lock


def test_a_domain_that_is_gone_before_the_pause_is_told_so(stage: Stage) -> None:
    web = stage.web
    stage.libraries.fail("xc_domain_hvm_getcontext", lambda call: (call(), stage.xen.domains.pop(web.domid), 4096)[2])
    with pytest.raises(NoSuchDomainError, match=f"no domain {web.domid}"):
        web.start([1], context)


def test_a_guard_that_cannot_open_xen_stops_everything_before_it_begins(stage: Stage) -> None:
    stage.prepare = lambda libraries: libraries.fail("xc_interface_open", errno.EACCES)
    with pytest.raises(GuardError, match="no permission"):
        stage.web.start([1], context)
    assert online(stage) == [0]


def test_when_the_programs_own_library_is_gone_the_guard_puts_back(stage: Stage) -> None:
    stage.libraries.fail("xc_domain_hvm_setcontext", lambda call: (call(), stage.libraries.vanish())[0])
    with pytest.raises(HypercallError) as caught:
        stage.web.start([1, 2], context)
    assert caught.value.restored is True and caught.value.left == () and caught.value.kept is None
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)
    assert "xc_domain_hvm_setcontext" in stage.guards[0].counts
    assert "failed" in stage.audited[0] and "restored=yes" in stage.audited[0]


def fail_loads(libraries: ModelLibraries) -> None:
    """As many as a put-back tries."""
    for _ in range(putback.ATTEMPTS):
        libraries.fail("xc_domain_hvm_setcontext", errno.ENOMEM)


def die_in(libraries: ModelLibraries, function: str, when: str) -> None:
    """The process is killed in its next call of a function, before or after that has its effect."""

    def die(call: RealCall) -> Any:
        if when == "after":
            call()
        libraries.is_killed = True
        raise Killed(function)

    libraries.fail(function, die)



def take_down_and_fail(stage: Stage) -> None:
    """The next load puts every vcpu down and then fails; the loads that put back fail too, of program and guard."""

    def lose(call: RealCall) -> int:
        for vcpu in stage.xen.named("web").vcpus:
            vcpu.is_down = True
        fail_loads(stage.libraries)
        fail_loads(stage.guards[-1])
        raise Refused(errno.ENOMEM)

    stage.libraries.fail("xc_domain_hvm_setcontext", lose)


def test_what_nobody_can_put_back_is_kept_in_a_file_and_brought_back_later(stage: Stage) -> None:
    stage.web.start([1], context)
    before = stage.web.record(1)
    take_down_and_fail(stage)
    with pytest.raises(HypercallError) as caught:
        stage.web.start([2], context)
    error = caught.value
    assert error.restored is False and error.left and error.kept is not None
    assert (online(stage), stage.xen.named("web").pause_count) == ([], 0)
    assert stat.S_IMODE(os.stat(error.kept).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(Path(error.kept).parent).st_mode) == 0o700

    kept = keptfile.read(error.kept)
    assert stage.web.plan_recovery(kept) == ((0, 1), ())
    assert stage.web.recover(kept) == ((0, 1), ())
    assert online(stage) == [0, 1]
    after = stage.web.record(1)
    assert {n: v for n, v in after.values.items() if n != "tsc"} == {
        n: v for n, v in before.values.items() if n != "tsc"
    }
    assert stage.web.recover(kept) == ((), ())


def test_the_deadline_holds_while_xen_is_busy_and_the_pause_is_given_back_later(stage: Stage) -> None:
    def late(call: RealCall) -> Any:
        time.sleep(1.5)
        return call()

    stage.prepare = lambda libraries: libraries.fail("xc_domain_pause", late)
    object.__setattr__(stage.keeper.patience, "timeout", 1.0)
    with pytest.raises(DeadlineError, match="1 s were over while waiting for the guard"):
        stage.web.start([1], context)
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)


def test_a_slow_read_ends_at_the_deadline_and_nothing_was_touched(stage: Stage) -> None:
    def late(call: RealCall) -> Any:
        time.sleep(1.1)
        return call()

    object.__setattr__(stage.keeper.patience, "timeout", 1.0)
    stage.libraries.fail("xc_domain_hvm_getcontext", late, after=1)
    with pytest.raises(DeadlineError, match="while reading it"):
        stage.web.start([1], context)
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)
    assert "xc_domain_hvm_setcontext" not in stage.libraries.counts


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_guard_that_dies_in_its_pause_is_replaced(stage: Stage, when: str) -> None:
    stage.prepare = lambda guard: die_in(guard, "xc_domain_pause", when) if len(stage.guards) == 1 else None
    stage.web.start([1], context)
    assert len(stage.guards) == 2 and stage.guards[0].calls[-1].name == "xc_domain_pause"
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_guard_that_dies_in_its_unpause_leaves_the_program_to_finish(stage: Stage, when: str) -> None:
    stage.prepare = lambda guard: die_in(guard, "xc_domain_unpause", when)
    stage.web.start([1], context)
    assert stage.guards[0].calls[-1].name == "xc_domain_unpause"
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


@pytest.mark.parametrize("times", [1, 3])
def test_an_unpause_that_the_guard_or_the_program_repeats_is_in_the_report(stage: Stage, times: int) -> None:
    stage.prepare = lambda guard: [guard.fail("unpause", errno.EIO) for _ in range(times)] and None
    if times == 3:  # the guard gives up, and so does the program at first
        stage.libraries.fail("unpause", errno.EIO)
    (note,) = stage.web.start([1], context).notes
    assert "not at the first try" in note and stage.xen.named("web").pause_count == 0


def test_guards_that_all_die_are_an_error_and_nothing_was_touched(stage: Stage) -> None:
    stage.prepare = lambda guard: die_in(guard, "xc_domain_pause", "after")
    with pytest.raises(GuardError, match="dies as soon as it is started"):
        stage.web.start([1], context)
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)


def test_the_guard_has_the_lock_until_the_domain_runs_again_though_the_program_has_ended(stage: Stage) -> None:
    def lock() -> Any:
        return domain_lock(stage.web.info.handle, stage.folder, Patience(waits=False), Patience().begin())

    with stage.keeper.hold(stage.web.info) as deadline:
        stage.keeper.pause(stage.web.domid, deadline, bool)
    with pytest.raises(DomainBusyError), lock():
        pytest.fail("held twice")
    stage.keeper.close()
    assert stage.xen.named("web").pause_count == 0
    with lock():
        pass


def unpause_within(stage: Stage, answer: Any) -> None:
    """Somebody else unpauses the domain within the next load; `answer` is what that answers, None for as it would."""

    def unpaused(call: RealCall) -> Any:
        result = call()
        stage.xen.named("web").pause_count = 0
        if answer is not None:
            raise answer
        return result

    stage.libraries.fail("xc_domain_hvm_setcontext", unpaused)


def test_a_pause_that_somebody_else_gave_back_is_told_with_a_guard_too(stage: Stage) -> None:
    unpause_within(stage, None)
    with pytest.raises(DomainChangedError, match="unpaused by somebody else meanwhile") as caught:
        stage.web.start([1], context)
    assert (caught.value.restored, caught.value.left) == (False, (DONE,))
    assert (online(stage), stage.xen.named("web").pause_count) == ([0, 1], 0)


def test_vcpus_that_ran_since_somebody_else_unpaused_them_are_not_set_back(stage: Stage) -> None:
    unpause_within(stage, Refused(errno.ENOMEM))
    with pytest.raises(HypercallError) as caught:
        stage.web.start([1], context)
    said = f"domain {stage.web.domid} was unpaused by somebody else"
    assert caught.value.restored is False and any(line.startswith(said) for line in caught.value.left)
    assert online(stage) == [0, 1]
    loads = [libraries.counts["xc_domain_hvm_setcontext"] for libraries in (stage.libraries, *stage.guards)]
    assert loads == [1, 0]


def test_a_guard_that_dies_in_a_pause_that_others_hold_too_is_told_as_it_is(stage: Stage) -> None:
    stage.xen.named("web").pause_count = 1
    stage.prepare = lambda guard: die_in(guard, "xc_domain_pause", "before")
    with pytest.raises(ChangeError, match="held once too often"):
        stage.web.start([1], context)
    assert stage.xen.named("web").pause_count == 1


def test_each_change_is_audited_once_with_its_context(stage: Stage) -> None:
    stage.web.start([1], context)
    stage.web.stop([1])
    first, second = stage.audited
    assert first.startswith("start 1 outcome=done context=sha256:") and second == "stop 1 outcome=done"


def killed_in_a_change(stage: Stage) -> str:
    """The program is killed when it has put the boot vcpu down; the domain, as the log names it."""
    web = stage.web
    with stage.keeper.hold(web.info) as deadline:
        stage.keeper.pause(web.domid, deadline, bool)
        stream = stage.port.read_context(web.domid, stage.port.context_buffer(web.domid))
        stage.keeper.touching(Capture(web.domid, web.info.handle, web.release, "start", (1, 2), stream))
        stage.xen.named("web").vcpus[0].is_down = True
    stage.keeper.close()
    return f"domid={web.domid} uuid={web.info.handle}"


def test_what_the_guard_put_back_for_a_program_that_was_killed_is_logged(stage: Stage) -> None:
    name = killed_in_a_change(stage)
    assert (online(stage), stage.xen.named("web").pause_count) == ([0], 0)
    assert stage.audited_by_guard == [f"start {name} 1,2 outcome=killed restored=yes"]


def test_what_the_guard_could_not_put_back_is_logged_with_the_file_that_keeps_it(stage: Stage) -> None:
    stage.prepare = fail_loads
    name = killed_in_a_change(stage)
    (kept,) = keptfile.kept(str(stage.folder / "kept"))
    (line,) = stage.audited_by_guard
    assert line.startswith(f"start {name} 1,2 outcome=killed restored=no left='vcpu 0 is down, and was online'")
    assert line.endswith(f" kept={kept}") and keptfile.read(kept).capture.vcpuids == (1, 2)


def test_a_domain_that_the_guard_leaves_paused_is_logged(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(guard: ModelLibraries) -> None:
        for _ in range(9):
            guard.fail("xc_domain_unpause", errno.EPERM)

    monkeypatch.setattr(server, "_INSISTS", 0.01)
    stage.prepare = refuse
    name = killed_in_a_change(stage)
    assert stage.xen.named("web").pause_count == 1
    assert f"unpause {name}  outcome=left paused restored=no" in stage.audited_by_guard


class Torn:
    """A capture that cannot be written to its end, as when the program is killed meanwhile."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def parts(self) -> Any:
        return self._head, range(9)  # has a length, and no bytes


def test_a_change_that_a_signal_has_waited_for_is_audited_as_done(stage: Stage) -> None:
    def interrupted(call: RealCall) -> Any:
        signal.raise_signal(signal.SIGINT)
        return call()

    stage.libraries.fail("setcontext", interrupted)
    with pytest.raises(KeyboardInterrupt, match="was done before"):
        stage.web.start([1], context)
    (line,) = stage.audited
    assert line.startswith("start 1 outcome=done") and online(stage) == [0, 1]


def test_a_capture_that_is_cut_off_by_a_kill_leaves_the_one_before_it(stage: Stage) -> None:
    stream = stage.port.read_context(stage.web.domid, stage.port.context_buffer(stage.web.domid))
    capture = Capture(stage.web.domid, stage.web.info.handle, stage.web.release, "start", (1,), stream)
    journal = Journal()
    journal.touching(capture)
    with pytest.raises(TypeError):
        journal.touching(Torn(b"x" * 200))  # type: ignore[arg-type]
    assert journal.capture == capture
    journal.settled()
    journal.touching(capture)
    assert journal.capture == capture
    journal.close()


def test_a_journal_says_what_its_last_writer_said() -> None:
    journal = Journal()
    shared = Journal(os.dup(journal.descriptor))
    shared.pause = Pause.HELD
    assert journal.pause is Pause.HELD and journal.capture is None
    shared.close()
    journal.close()
    journal.close()
