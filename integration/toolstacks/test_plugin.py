# SPDX-License-Identifier: MIT
"""The pytest plugin with `--xen-host=dom0`: another project's tests, on a real domain."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Callable, Dict

import pytest

from integration.evidence.command import program
from integration.evidence.tiny import TinyGuest
from integration.guest import layout

TESTS = f"""
import pytest
from xenvcpu import flat32


@pytest.mark.real_xen
def test_on_real_xen(xen_domain, xen_host):
    assert xen_host.kind == "dom0"
    xen_domain.start([1, 2], lambda vcpuid: flat32(eip={layout.PARK:#x}).replace(rflags=0x202))
    assert [state.vcpuid for state in xen_domain.vcpus() if state.is_online] == [0, 1, 2]


@pytest.mark.real_xen("guest")
def test_in_a_guest(xen_domain):
    raise AssertionError("dom0 is no guest")


def test_on_either(xen_domain):
    xen_domain.stop([1])


def test_on_the_model(xen_domain, xen_model):
    assert xen_domain.name == xen_model.host.guests[0].name
    xen_domain.start([1], lambda vcpuid: flat32(eip=0x100000))
"""


def outcomes(folder: Path, *options: str) -> Dict[str, str]:
    report = folder / "junit.xml"
    words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "--rootdir=.", *options, "test_other.py"]
    argv = [sys.executable, "-m", "pytest", *words]
    done = program(argv, lambda: sys.exit(pytest.main(words)), folder=folder, timeout=240)
    found: Dict[str, str] = {}
    for case in xml.parse(report).getroot().iter("testcase"):
        found[str(case.get("name"))] = next((child.tag for child in case if child.tag != "properties"), "passed")
    print(done.stdout, done.stderr)  # shown if what came of it is not what it should be
    return {**found, "code": str(done.returncode)}


def test_real_tests_run_in_dom0_on_the_domain_that_is_named(
    tiny_guest: Callable[..., TinyGuest], tmp_path: Path
) -> None:
    """What asks for the model stays on it, what wants to stand in a guest is skipped."""
    guest = tiny_guest(vcpus=4)
    (tmp_path / "test_other.py").write_text(TESTS)
    assert outcomes(tmp_path, "--xen-host=dom0", f"--xen-domain={guest.name}") == {
        "test_on_real_xen": "passed", "test_in_a_guest": "skipped", "test_on_either": "passed",
        "test_on_the_model": "passed", "code": "0",
    }
    assert guest.online() == [0, 2]
    guest.await_beats()
