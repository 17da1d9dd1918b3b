# SPDX-License-Identifier: MIT
"""What a guard has in hand while its program changes a domain, and what an error says of a change cut short."""

from __future__ import annotations

import errno
from typing import Any, List, Optional, Tuple

import pytest

from tests.guard.conftest import Stage
from tests.guard.test_guard import context, fail_loads, online
from xenvcpu.capture import Capture
from xenvcpu.errors import ChangeError, HypercallError
from xenvcpu.model.answer import Refused
from xenvcpu.model.faults import RealCall

LOAD, RESET = "xc_domain_hvm_setcontext", "xc_vcpu_setcontext"


def captured_at_loads(stage: Stage, *, is_refused: bool) -> List[Optional[Capture]]:
    """What the journal has for the guard at each load of a start; the first may fail when it is done."""
    found: List[Optional[Capture]] = []

    def load(call: RealCall) -> Any:
        found.append(stage.processes[-1].journal.capture)
        answer = call()
        if is_refused and len(found) == 1:
            raise Refused(errno.ENOMEM)
        return answer

    for _ in range(2):
        stage.libraries.fail(LOAD, load)
    if is_refused:
        with pytest.raises(HypercallError):
            stage.web.start([1], context)
    else:
        stage.web.start([1], context)
    found.append(stage.processes[-1].journal.capture)
    return found


def test_the_guard_has_the_capture_before_anything_is_loaded_and_not_afterwards(stage: Stage) -> None:
    during, after = captured_at_loads(stage, is_refused=False)
    assert during is not None and (during.vcpuids, during.reached) == ((1,), None) and after is None


def test_the_guard_knows_how_far_it_came_before_anything_is_put_back(stage: Stage) -> None:
    during, putting_back, after = captured_at_loads(stage, is_refused=True)
    assert during is not None and putting_back is not None
    assert (during.reached, putting_back.reached, after) == (None, (1,), None)


def test_an_interrupt_that_leaves_nothing_is_the_interrupt(stage: Stage) -> None:
    stage.libraries.fail(LOAD, lambda call: (call(), (_ for _ in ()).throw(KeyboardInterrupt)))
    with pytest.raises(KeyboardInterrupt):
        stage.web.start([1], context)
    assert online(stage) == [0]


def test_an_interrupt_after_which_something_is_left_says_so(stage: Stage) -> None:
    def interrupted(call: RealCall) -> Any:
        stage.xen.named("web").vcpus[0].is_down = True
        fail_loads(stage.libraries)
        fail_loads(stage.guards[-1])
        raise KeyboardInterrupt

    stage.libraries.fail(LOAD, interrupted)
    with pytest.raises(ChangeError, match=r"the start of domain \d+ was interrupted \(KeyboardInterrupt\)") as caught:
        stage.web.start([1], context)
    error = caught.value
    assert (error.domid, error.restored) == (stage.web.domid, False) and error.kept is not None
    assert error.left[0] == "vcpu 0 is down, and was online"


@pytest.mark.parametrize(("vcpuids", "word"), [((1,), "is"), ((1, 2), "may be")], ids=["seen", "not seen"])
def test_a_stop_that_fails_names_the_vcpus_whose_state_xen_does_not_show(
    stage: Stage, vcpuids: Tuple[int, ...], word: str
) -> None:
    """vcpu 3 runs and is reset first; then 1 and 2 are, which had been initialised and down, and at 2 it fails."""
    stage.web.start([1, 2, 3], context)
    for vcpu in stage.xen.named("web").vcpus[1:3]:
        vcpu.is_down = True
    stage.libraries.fail(RESET, errno.ENOMEM, 2)
    for after in (3, 0) if word == "may be" else ():
        stage.libraries.fail("xc_vcpu_getcontext", errno.ENOMEM, after)
    with pytest.raises(HypercallError) as caught:
        stage.web.stop([1, 2, 3])
    assert caught.value.restored is False and online(stage) == [0, 3]
    assert list(caught.value.left) == [
        f"vcpu {vcpuid} had been initialised and down, and {word} fresh now" for vcpuid in vcpuids
    ]


def start_and_lose_the_boot_vcpu(stage: Stage) -> HypercallError:
    """The load fails when it has put the boot vcpu down, and neither program nor guard can put it back."""
    def refuse(call: RealCall) -> Any:
        stage.xen.named("web").vcpus[0].is_down = True
        fail_loads(stage.libraries)
        fail_loads(stage.guards[-1])
        raise Refused(errno.ENOMEM)

    stage.libraries.fail(LOAD, refuse)
    with pytest.raises(HypercallError) as caught:
        stage.web.start([1], context)
    return caught.value


def test_the_log_names_the_file_that_keeps_what_was_lost(stage: Stage) -> None:
    error = start_and_lose_the_boot_vcpu(stage)
    (line,) = stage.audited
    assert error.kept is not None and " restored=no left='vcpu 0 is down, and was online' " in line
    assert f" kept={error.kept} " in line


def test_that_it_cannot_be_kept_is_said_with_what_was_lost(stage: Stage) -> None:
    (stage.folder / "kept").write_text("a file where the folder is to be")
    error = start_and_lose_the_boot_vcpu(stage)
    assert error.kept is None and error.left[0] == "vcpu 0 is down, and was online"
    assert error.left[-1].startswith("what it was could NOT be kept: ")


@pytest.mark.parametrize("pauses", [0, 1])
def test_a_start_says_whether_somebody_else_holds_the_domain_paused(stage: Stage, pauses: int) -> None:
    stage.xen.named("web").pause_count = pauses
    assert stage.web.start([1], context).is_paused is bool(pauses)


def test_a_last_look_that_fails_undoes_nothing(stage: Stage) -> None:
    stage.xen.named("web").pause_count = 1
    looks = ["under the pause", "after the load", "when all is done"]
    stage.libraries.fail("xc_domain_getinfolist", errno.ENOMEM, len(looks) - 1)
    assert stage.web.start([1], context).is_paused is False and online(stage) == [0, 1]
