# SPDX-License-Identifier: MIT
"""The playbook of the collection: declared vcpus of an inventory, in batches, with a failure limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import pytest
from tests.ansible_collection.conftest import Play, Played, new_world, online

PLAYBOOK = "xenvcpu.xen.start_declared"
IN_TWOS = ("-e", "xenvcpu_batch=2")
_CONTEXT = {"preset": "flat32", "eip": 0x100000, "esp": "0x80000 + 0x1000 * vcpuid"}


def inventory(folder: Path, hosts: List[str]) -> Path:
    """An inventory of hosts that are each a world file `NAME.json`."""
    path = folder / "inventory.json"
    declared = [{"domain": "web", "vcpus": vcpus, "context": _CONTEXT} for vcpus in ("1-2", "3")]
    path.write_text(json.dumps({"xen": {
        "hosts": {name: {"xenvcpu_host": f"model:{folder / name}.json"} for name in hosts},
        "vars": {"xenvcpu_declared": declared},
    }}))
    return path


@pytest.fixture
def hosts(tmp_path: Path) -> List[str]:
    """Four hosts, each with a domain `web`."""
    names = ["a", "b", "c", "d"]
    for name in names:
        new_world(tmp_path / f"{name}.json")
    return names


def changed(played: Played) -> List[bool]:
    return [task.result["changed"] for task in played.tasks]


def test_every_host_is_as_declared_and_a_second_run_changes_nothing(
    play: Play, tmp_path: Path, hosts: List[str]
) -> None:
    listed = inventory(tmp_path, hosts[:2])
    first = play(PLAYBOOK, inventory=listed)
    assert first.code == 0 and changed(first) == [True, True], first.out
    assert [online(tmp_path / f"{name}.json") for name in hosts[:2]] == [[0, 1, 2, 3]] * 2
    second = play(PLAYBOOK, inventory=listed)
    assert second.code == 0 and changed(second) == [False, False], second.out


def test_beyond_the_failure_limit_no_further_batch_is_begun(play: Play, tmp_path: Path, hosts: List[str]) -> None:
    (tmp_path / "b.json").write_text("not a world")
    done = play(PLAYBOOK, *IN_TWOS, inventory=inventory(tmp_path, hosts))
    assert done.code != 0
    assert [(task.host, task.status) for task in sorted(done.tasks)] == [("a", "ok"), ("b", "failed")]
    assert [online(tmp_path / f"{name}.json") for name in "acd"] == [[0, 1, 2, 3], [0], [0]]


def test_below_the_limit_the_other_batches_go_on(play: Play, tmp_path: Path, hosts: List[str]) -> None:
    (tmp_path / "b.json").write_text("not a world")
    done = play(PLAYBOOK, *IN_TWOS, "-e", "xenvcpu_max_fail=50", inventory=inventory(tmp_path, hosts))
    assert done.code != 0
    assert [online(tmp_path / f"{name}.json") for name in "acd"] == [[0, 1, 2, 3]] * 3
