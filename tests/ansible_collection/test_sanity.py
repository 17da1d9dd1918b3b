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
LACKING = "ansible-test's requirements cannot be installed"
_BOOTSTRAP = re.compile(r"manually downloaded and saved to: (\S+)")
_REQUIREMENTS = re.compile(r'^FATAL: (Command "\S+" returned exit status|.*\bpip\b.*(unavailable|not available))', re.M)
"""How it ends when pip does; pip's script comes on the standard input of a Python without arguments."""
_FINDING = re.compile(r"^ERROR: Found \d|sanity test\(s\) listed below", re.M)
_PHASE = re.compile(r"^(Installing requirements|Downloading pip|Running sanity test)", re.M)
_PIP = "import ensurepip\nensurepip.bootstrap(default_pip=True)\n"


def lacks_requirements(printed: str, *, is_late: bool = False) -> bool:
    """Whether it ended as it did because its requirements could not be installed, and not by what it found.

    Args:
        printed: What it printed until it failed.
        is_late: Whether it was ended, for it took too long.
    """
    if _FINDING.search(printed):
        return False
    if is_late:
        phases = _PHASE.findall(printed)
        return bool(phases) and phases[-1] != "Running sanity test"
    return _REQUIREMENTS.search(printed) is not None


def sanity(folder: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run it: in a folder that ends as Ansible wants it, with all that it keeps below a home of its own."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    script = [str(Path(sys.executable).with_name("ansible-test")), "sanity", "--python", version, "--requirements"]
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
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
    try:
        done = sanity(copy, home)
        missing = _BOOTSTRAP.search(done.stdout)
        if missing is not None:
            # It wants get-pip.py from a server of Ansible's; Python has a pip of its own.
            Path(missing[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(missing[1]).write_text(_PIP)
            done = sanity(copy, home)
    except subprocess.TimeoutExpired as error:
        printed = error.output.decode(errors="replace") if isinstance(error.output, bytes) else error.output or ""
        if lacks_requirements(printed, is_late=True):
            pytest.skip(f"{LACKING}, not in time: {printed[-500:]}")
        raise
    if done.returncode and lacks_requirements(done.stdout):
        pytest.skip(f"{LACKING}: {done.stdout[-500:]}")
    assert done.returncode == 0, done.stdout
    assert f'Running sanity test "{TESTS[0]}"' in done.stdout


BEGUN = 'Running sanity test "pep8"\nInstalling requirements for Python 3.11 [venv]\n'
ENDED = 'FATAL: Command "/home/.ansible/test/venv/sanity.pep8/3.11/1/bin/python" returned exit status 1.\n'
FOUND = "ERROR: Found 1 pep8 issue(s) which need to be resolved:\n"


@pytest.mark.parametrize(("printed", "is_late", "expected"), [
    (BEGUN + "ERROR: Could not install packages due to an OSError: Read timed out.\n" + ENDED, False, True),
    (BEGUN + FOUND + BEGUN + ENDED, False, False),
    (BEGUN + FOUND + "FATAL: The 1 sanity test(s) listed below (out of 2) failed.\npep8\n", False, False),
    (BEGUN + 'FATAL: Command "/bin/python -m pycodestyle" returned exit status 2.\n', False, False),
    (BEGUN, True, True),
    (BEGUN + FOUND + BEGUN, True, False),
    (BEGUN + 'Running sanity test "compile"\n', True, False),
])
def test_only_requirements_that_are_lacking_skip_it(printed: str, is_late: bool, expected: bool) -> None:
    """Never what it found, also not when something fails after that."""
    assert lacks_requirements(printed, is_late=is_late) is expected
