# SPDX-License-Identifier: MIT
"""`ansible-test sanity`: those of its tests that run without a container."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ansible_collection.conftest import COLLECTION

TESTS = ("validate-modules", "ansible-doc", "runtime-metadata", "yamllint", "pep8", "compile", "ignores")
_BOOTSTRAP = re.compile(r"manually downloaded and saved to: (\S+)")
_PIP = "import ensurepip\nensurepip.bootstrap(default_pip=True)\n"


def sanity(folder: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run it: in a folder that ends as Ansible wants it, with all that it keeps below a home of its own."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    script = [str(Path(sys.executable).with_name("ansible-test")), "sanity", "--python", version, "--requirements"]
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [sys.executable, *script, "--color", "no", *(word for name in TESTS for word in ("--test", name))], cwd=folder,
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=900, check=False,
    )


def test_ansible_test_finds_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("ansible_test") is None:
        pytest.skip("ansible-test is not installed")
    copy = tmp_path / "ansible_collections/xenvcpu/xen"
    shutil.copytree(COLLECTION, copy, ignore=shutil.ignore_patterns("__pycache__", "output"))
    home = tmp_path / "home"
    home.mkdir()
    done = sanity(copy, home)
    missing = _BOOTSTRAP.search(done.stdout)
    if missing is not None:
        # It wants get-pip.py from a server of Ansible's; Python has a pip of its own.
        Path(missing[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(missing[1]).write_text(_PIP)
        done = sanity(copy, home)
    if re.search("No matching distribution|Could not find a version", done.stdout):
        pytest.skip(f"ansible-test's requirements cannot be installed: {done.stdout[-500:]}")
    assert done.returncode == 0, done.stdout
    assert f'Running sanity test "{TESTS[0]}"' in done.stdout
