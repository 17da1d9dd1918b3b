# SPDX-License-Identifier: MIT
"""500 model hosts in one inventory, driven from this machine. It takes minutes: `make ansible`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import pytest
from tests.ansible_collection.conftest import Play, new_world, online
from tests.ansible_collection.test_playbook import PLAYBOOK

HOSTS = int(os.environ.get("XENVCPU_ANSIBLE_HOSTS", "500"))
"""How many; fewer to try it out."""

FORKS = 20
_CONTEXT = {"preset": "flat32", "eip": 0x100000, "esp": "0x80000 + 0x1000 * vcpuid"}


def test_500_hosts_are_started_in_batches(
    play: Play, tmp_path: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every host is a world file of its own, so that none waits for another; the connection is `local`.

    What is measured is thus Ansible, a start of Python, the module and its guard on this machine, and no network.
    """
    pattern = new_world(tmp_path / "pattern.json")
    worlds = {f"host{number:03}": tmp_path / f"host{number:03}.json" for number in range(HOSTS)}
    for path in worlds.values():
        shutil.copy(pattern, path)
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"xen": {
        "hosts": {name: {"xenvcpu_host": f"model:{path}"} for name, path in worlds.items()},
        "vars": {"xenvcpu_declared": [{"domain": "web", "context": _CONTEXT}]},
    }}))
    before, began = os.times(), time.monotonic()
    done = play(PLAYBOOK, "--forks", FORKS, "-e", "xenvcpu_batch=20%", inventory=inventory, timeout=3000)
    wall, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    assert done.code == 0, done.out[-4000:]
    assert Counter(task.status for task in done.tasks) == {"ok": HOSTS}
    assert all(task.result["changed"] for task in done.tasks)
    assert {tuple(online(path)) for path in worlds.values()} == {(0, 1, 2, 3)}
    figures = {
        "hosts": HOSTS, "forks": FORKS, "processors": os.cpu_count(), "seconds": round(wall, 1),
        "ms_per_host": round(1000 * wall / HOSTS), "cpu_ms_per_host": round(1000 * cpu / HOSTS),
    }
    for name, value in figures.items():
        record_property(f"ansible_{name}", value)
    with capsys.disabled():
        print("\nansible:", ", ".join(f"{name} {value}" for name, value in figures.items()))
