# SPDX-License-Identifier: MIT
"""The Ansible collection: ansible-core on the machine outside drives this dom0 through the lab's channel."""

from __future__ import annotations

import os
import queue
from typing import Any, Callable, Dict, Iterator, List

import pytest

from integration import starts
from integration.evidence.tiny import TinyGuest
from integration.lab.dom0.commands import PORT, Commands
from integration.lab.dom0.status import Status

Factory = Callable[..., TinyGuest]
Play = Callable[..., Dict[str, Dict[str, Any]]]

START, INFO = "xenvcpu.xen.xenvcpu", "xenvcpu.xen.xenvcpu_info"
PAUSED = 2
"""Where `xl list` has the letter of a domain that a toolstack holds paused."""

_LIMIT = 620.0


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
        try:
            played = commands.delivered.get(timeout=_LIMIT)
        except queue.Empty:
            pytest.fail("nothing came back from outside")
        if "missing" in played:
            pytest.skip(played["missing"])
        assert played["code"] == 0, played["out"]
        return {task["task"]: task["result"] for task in played["tasks"]}

    return run


@pytest.mark.lab_limit(1500)
def test_first_run_changes_second_does_not_check_mode_touches_nothing(tiny_guest: Factory, play: Play) -> None:
    """Check, start, start again, look and stop, with each vcpu's own word for it."""
    guest = tiny_guest(vcpus=4)
    first, second = (starts.context(guest, "flat32", vcpuid).rip for vcpuid in (1, 2))
    starts.context(guest, "flat32", 3)
    context = {"preset": "flat32", "eip": f"{first} + {second - first} * (vcpuid - 1)", "edi": "0x500 + vcpuid"}
    start = {START: {"domain": guest.name, "context": context}}

    guest.watch_registers()
    foreseen = play([{"name": "start", **start}], "--check", "--diff")["start"]
    assert (foreseen["changed"], foreseen["started"], foreseen["pause_seconds"]) == (True, [1, 2, 3], None)
    assert foreseen["diff"]["before"] == "vcpu 1: down\nvcpu 2: down\nvcpu 3: down\n"
    assert guest.online() == [0] and str(guest.state())[PAUSED] != "p"
    guest.await_beats()

    started = play([
        {"name": "first", **start},
        {"name": "second", **start},
        {"name": "look", INFO: {"domains": [guest.name], "registers": True}},
    ])
    assert (started["first"]["changed"], started["first"]["started"]) == (True, [1, 2, 3])
    assert (started["second"]["changed"], started["second"]["started"]) == (False, [])
    assert [guest.dump(vcpuid)["rdi"] for vcpuid in (1, 2, 3)] == [0x501, 0x502, 0x503]
    (shown,) = started["look"]["domains"]
    assert shown["domid"] == guest.domid and [vcpu["mode"] for vcpu in shown["vcpus"]] == ["flat32"] * 4
    assert guest.online() == [0, 1, 2, 3]

    # Each run of a module costs the emulated dom0 half a minute, so that what the model shows is not shown again.
    stopped = play([{"name": "stop", START: {"domain": shown["uuid"], "state": "stopped", "vcpus": "1-2"}}])["stop"]
    assert (stopped["changed"], stopped["stopped"]) == (True, [1, 2])
    assert guest.online() == [0, 3]
    guest.await_beats()
    assert guest.watch().errors == 0
