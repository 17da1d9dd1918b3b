# SPDX-License-Identifier: MIT
"""The Ansible collection: ansible-core on the machine outside drives this dom0 through the lab's channel."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from integration import starts
from integration.evidence.tiny import TinyGuest
from integration.lab.dom0.commands import PORT, Commands
from integration.lab.dom0.status import Status
from integration.limits import Limit
from integration.promises import IS_BRISK
from xenvcpu.api import open_host

Factory = Callable[..., TinyGuest]
Play = Callable[..., Dict[str, Dict[str, Any]]]
Asked = Tuple[TinyGuest, Dict[str, Any]]

START, INFO = "xenvcpu.xen.xenvcpu", "xenvcpu.xen.xenvcpu_info"
PAUSED = 2
"""Where `xl list` has the letter of a domain that a toolstack holds paused."""

_LIMIT = 620.0
_LOOK = 0.2


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    """Serves the command channel."""
    if Status.inherited() is None or not os.path.exists(PORT):
        pytest.skip("no machine outside that could run ansible-playbook: the lab's emulated host has one")
    with Commands() as serving:
        yield serving


@pytest.fixture
def play(commands: Commands) -> Play:
    """Gives a function that lets the machine outside play tasks here, and returns each one's result by its name."""
    status = Status.inherited()
    assert status is not None

    def run(tasks: List[Dict[str, Any]], *arguments: str) -> Dict[str, Dict[str, Any]]:
        status.send("play", tasks=tasks, arguments=arguments)
        limit = Limit(_LIMIT)
        while commands.delivered.empty():
            if limit.passed:
                pytest.fail("nothing came back from outside")
            time.sleep(_LOOK)
        played = commands.delivered.get()
        if "missing" in played:
            pytest.skip(played["missing"])
        assert played["code"] == 0, played["out"]
        return {task["task"]: task["result"] for task in played["tasks"]}

    return run


@pytest.fixture
def asked(tiny_guest: Factory) -> Asked:
    """Gives a guest of four vcpus and the task that starts the others.

    Its boot vcpu does not watch itself: that would cost it half of the dom0's time.
    """
    guest = tiny_guest(vcpus=4)
    first, second = (starts.context(guest, "flat32", vcpuid).rip for vcpuid in (1, 2))
    starts.context(guest, "flat32", 3)
    context = {"preset": "flat32", "eip": f"{first} + {second - first} * (vcpuid - 1)", "edi": "0x500 + vcpuid"}
    return guest, {START: {"domain": guest.name, "context": context}}


@pytest.mark.lab_limit(900)
def test_a_task_starts_the_vcpus_that_it_names(asked: Asked, play: Play) -> None:
    """Each vcpu's own word for it."""
    guest, start = asked
    started = play([{"name": "first", **start}])["first"]
    assert (started["changed"], started["started"]) == (True, [1, 2, 3])
    assert [guest.dump(vcpuid)["rdi"] for vcpuid in (1, 2, 3)] == [0x501, 0x502, 0x503]
    assert guest.online() == [0, 1, 2, 3]
    guest.await_beats()


# Each run of a module costs the emulated dom0 half a minute, so that what the model shows is not shown again.
@pytest.mark.skipif(IS_BRISK, reason="four more runs of a module: with FULL=1")
@pytest.mark.lab_limit(1500)
def test_check_mode_touches_nothing_and_what_runs_is_left_shown_and_stopped(asked: Asked, play: Play) -> None:
    """Foreseen, started by the suite itself, started again to no change, looked at and stopped."""
    guest, start = asked
    foreseen = play([{"name": "start", **start}], "--check", "--diff")["start"]
    assert (foreseen["changed"], foreseen["started"], foreseen["pause_seconds"]) == (True, [1, 2, 3], None)
    assert foreseen["diff"]["before"] == "vcpu 1: down\nvcpu 2: down\nvcpu 3: down\n"
    assert guest.online() == [0] and str(guest.state())[PAUSED] != "p"
    guest.await_beats()

    with open_host("dom0") as host:
        starts.drive(host, guest).start([1, 2, 3], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    played = play([
        {"name": "again", **start},
        {"name": "look", INFO: {"domains": [guest.name], "registers": True}},
    ])
    assert (played["again"]["changed"], played["again"]["started"]) == (False, [])
    (shown,) = played["look"]["domains"]
    assert shown["domid"] == guest.domid and [vcpu["mode"] for vcpu in shown["vcpus"]] == ["flat32"] * 4

    stopped = play([{"name": "stop", START: {"domain": shown["uuid"], "state": "stopped", "vcpus": "1-2"}}])["stop"]
    assert (stopped["changed"], stopped["stopped"]) == (True, [1, 2])
    assert guest.online() == [0, 3]
    guest.await_beats()
