# SPDX-License-Identifier: MIT
"""The fixtures that other people's tests use, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
TESTS = '''
import pytest

def test_the_world_is_pvh_by_default(xen_model, xen_domain):
    assert xen_domain.name == "web"
    assert xen_model.host.release.minor == 17

@pytest.mark.xen_model("busy", release="4.20.1")
def test_a_marker_chooses(xen_model, xen_domain):
    assert str(xen_model.host.release) == "4.20.1"
    assert len(xen_domain.vcpus()) == 4

@pytest.mark.xen_model(here="web")
def test_a_test_can_stand_in_the_guest(xen_model, xen_domain):
    assert xen_domain.name == "self"
    assert [vcpu.is_online for vcpu in xen_domain.vcpus()] == [True, False, False, False]

@pytest.mark.parametrize("xen_model", ["pvh", {"world": "big", "release": "4.22"}], indirect=True)
def test_a_parameter_chooses(xen_domain):
    assert xen_domain.name in ("web", "giant")

def test_all_vcpus_start(xen_model, xen_domain):
    from xenvcpu.api import flat32
    xen_domain.start(xen_domain.down_vcpus(), lambda vcpuid: flat32(0x100000))
    assert all(not vcpu.is_down for vcpu in xen_model.host.guests[0].vcpus)
'''


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Whether the package is installed, with its entry point, or only on the path: the plugin is there once.
    plugin = ["-p", "no:xenvcpu", "-p", "xenvcpu.pytest_plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), ROOT])}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "--strict-markers", *arguments], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )


def test_the_fixtures_give_a_model_and_a_domain_on_it(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(TESTS)
    done = run(tmp_path)
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_the_marker_is_in_the_list_of_markers(tmp_path: Path) -> None:
    assert "xen_model(world='pvh'" in run(tmp_path, "--markers").stdout


def test_the_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    shown = "[name for name in sys.modules if 'cffi' in name or name.startswith('xenvcpu.')]"
    code = f"import sys, xenvcpu.pytest_plugin; print({shown})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), ROOT])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['xenvcpu.pytest_plugin']"
