# SPDX-License-Identifier: MIT
"""The host plugin in a real dom0, called as XAPI calls it; there is no XAPI."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from integration.evidence.command import xenvcpu
from integration.evidence.tiny import TinyGuest
from integration.evidence.xapi import ServerError, call_plugin
from integration.promises import IS_BRISK
from integration.toolstacks import announcing

Factory = Callable[..., TinyGuest]


CLICK = "import click, importlib.metadata as m; print(m.version('click'))"


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Gives a function that calls the plugin while it is installed; what comes back is JSON."""
    own = subprocess.run(["/usr/bin/python3", "-c", CLICK], env={}, cwd="/", capture_output=True, text=True).stdout
    if own.startswith("7."):
        pytest.skip("Debian's own click comes first in a plugin, and is 7 here: the command needs 8")
    installed = xenvcpu("xapi", "install", "--folder", tmp_path)
    assert installed.returncode == 0, installed.stderr
    yield lambda function, arguments: json.loads(call_plugin(tmp_path / "xenvcpu", function, arguments))
    removed = xenvcpu("xapi", "remove", "--folder", tmp_path)
    assert removed.returncode == 0 and not (tmp_path / "xenvcpu").exists(), removed.stderr


def test_a_vms_vcpus_are_started_listed_and_stopped(
    tiny_guest: Factory, call: Callable[..., Any], number: int
) -> None:
    """By the VM's UUID, and the context as a text; each answer is what the command prints."""
    uuid = "7d5e2c60-1a3b-4b52-9d6f-0c4a55b0e2f1"
    guest = tiny_guest(vcpus=4, uuid=uuid)
    started = call("start", {"vm-uuid": uuid, "vcpus": "1-3", "context": announcing.context(number)})
    assert (started["domid"], started["started"]) == (guest.domid, [1, 2, 3])
    guest.await_announced(announcing.expected(number, 4))
    (listed,) = call("list", {"vm-uuid": uuid})["domains"]
    assert [vcpu["mode"] for vcpu in listed["vcpus"]] == ["flat32"] * 4
    call("stop", {"vm-uuid": uuid, "vcpus": "1,3"})
    assert guest.online() == [0, 2]
    guest.await_beats()


@pytest.mark.skipif(IS_BRISK, reason="two more runs of the plugin: with FULL=1")
def test_a_vm_that_is_not_there_and_a_context_that_xen_refuses_are_failures_with_a_code(
    tiny_guest: Factory, call: Callable[..., Any], number: int
) -> None:
    """What stands behind the code has Xen's reason; the VM goes on."""
    uuid = "7d5e2c60-1a3b-4b52-9d6f-0c4a55b0e2f2"
    with pytest.raises(ServerError) as missing:
        call("list", {"vm-uuid": uuid})
    assert missing.value.description[0] == "XENVCPU_FAILED"
    guest = tiny_guest(vcpus=2, uuid=uuid)
    context = announcing.context(number) + "cr4 = 0x8000\n"
    with pytest.raises(ServerError) as refused:
        call("start", {"vm-uuid": uuid, "context": context, "ignore-rules": "cr4-bit"})
    code, _, error = refused.value.description
    assert code == "XENVCPU_REFUSED_BY_XEN" and f"HVM{guest.domid} restore" in error
    assert guest.online() == [0]
    guest.await_beats()
