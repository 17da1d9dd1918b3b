# SPDX-License-Identifier: MIT
"""`play` runs real ansible-core against this machine; `world` is a model of Xen in a file."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "ansible_collections/xenvcpu/xen"
_PLUGINS = ROOT / "integration/ansible/callback_plugins"


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Where ansible-core is not installed, what is here is skipped by name."""
    if importlib.util.find_spec("ansible") is not None:
        return
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.skip(reason="ansible-core is not installed: pip install 'xenvcpu[ansible]'"))


class Task(NamedTuple):
    """What a task came to on one host."""

    host: str
    task: str
    status: str
    result: Dict[str, Any]


class Played(NamedTuple):
    """How a playbook ended: its exit code, what each task came to, and what was printed."""

    code: int
    tasks: Sequence[Task]
    out: str

    def named(self, name: str) -> Dict[str, Any]:
        """The result of the task of that name, with `failed` always in it."""
        (found,) = (task for task in self.tasks if task.task == name)
        return {**found.result, "failed": found.status == "failed"}


Play = Callable[..., Played]


def ansible(program: str, *arguments: object, folder: Path, env: Mapping[str, str], timeout: float) -> Any:
    """Run a program of ansible-core, in the `python -m ansible` way, with all that it writes below a folder."""
    config = folder / "ansible.cfg"
    config.touch()
    path = os.pathsep.join([*filter(None, sys.path), str(ROOT)])
    environment = {
        **os.environ, "PYTHONPATH": path, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT), "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"), **env,
    }
    return subprocess.run(
        [sys.executable, "-m", "ansible", program, *map(str, arguments)], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
        check=False,
    )


def run_playbook(
    folder: Path, playbook: object, *arguments: object, inventory: object = "localhost,",
    env: Mapping[str, str] = {}, timeout: float = 900,
) -> Played:
    """Play a playbook: its name, or a list of tasks for all hosts of the inventory."""
    if isinstance(playbook, list):
        plays = [{"hosts": "all", "gather_facts": False, "tasks": playbook}]
        (folder / "playbook.json").write_text(json.dumps(plays))
        playbook = folder / "playbook.json"
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    done = ansible(
        "playbook", "-i", inventory, "-c", "local", "-e", json.dumps({"ansible_python_interpreter": sys.executable}),
        playbook, *arguments, folder=folder, timeout=timeout, env={
            "ANSIBLE_CALLBACK_PLUGINS": str(_PLUGINS), "ANSIBLE_CALLBACKS_ENABLED": "results",
            "XENVCPU_ANSIBLE_RESULTS": str(results), **env,
        },
    )
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return Played(done.returncode, [Task(**json.loads(line)) for line in lines], done.stdout)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Play a playbook: `play([{"xenvcpu.xen.xenvcpu": {...}}], "--check")`."""

    def run(*arguments: Any, **more: Any) -> Played:
        return run_playbook(tmp_path, *arguments, **more)

    return run


def new_world(path: Path) -> Path:
    """Make a world file with a domain `web` of 4 vcpus."""
    from xenvcpu.model import worldfile

    worldfile.new(str(path))
    return path


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A world file with a domain `web` of 4 vcpus."""
    return new_world(tmp_path / "world.json")


def online(world: Path) -> List[int]:
    """The vcpus of `web` that are up."""
    from xenvcpu.model import worldfile

    (web,) = worldfile.load(str(world)).guests
    return [vcpu.vcpuid for vcpu in web.vcpus if not vcpu.is_down]
