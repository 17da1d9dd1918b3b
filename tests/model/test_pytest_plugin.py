# SPDX-License-Identifier: MIT
"""The fixtures that other people's tests use, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest

from xenvcpu.host import detect
from xenvcpu.pytest_plugin import why_not

ROOT = str(Path(__file__).parents[2])
EXAMPLE = Path(ROOT) / "examples" / "toolstack"
without_xen = pytest.mark.skipif(detect() != "none", reason="this machine is under Xen")
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


FAULTS = '''
import errno, pytest

def test_not_reached(xen_model, xen_domain):
    xen_model.fail("setcontext", "ENOMEM")

def test_not_reached_so_late(xen_model, xen_domain):
    xen_model.fail("pause", errno.EIO, after=2)

def test_not_killed(xen_model):
    xen_model.kill(7)

def test_not_vanished(xen_model):
    xen_model.vanish(after=3)

def test_reached(xen_model, xen_host):
    xen_model.fail("getdomaininfo", "EPERM")
    with pytest.raises(PermissionError):
        xen_host.domains()

def test_vanished(xen_model, xen_host):
    xen_host.domains()
    xen_model.vanish()
    with pytest.raises(OSError):
        xen_host.domains()

def test_taken_back(xen_model):
    xen_model.fail("setcontext", "ENOMEM")
    xen_model.clear()

def test_that_fails_says_no_more(xen_model):
    xen_model.fail("setcontext", "ENOMEM")
    assert False
'''


def test_a_fault_that_is_never_reached_is_an_error_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(FAULTS)
    done = run(tmp_path)
    assert "1 failed, 7 passed, 4 errors" in done.stdout, done.stdout + done.stderr
    for words in (
        "xc_domain_hvm_setcontext (the next call of it)", "xc_domain_pause (after 2 more calls of it)",
        "a kill in 7 calls", "libraries that vanish after 3 more calls",
    ):
        assert f"before these faults of xen_model came: {words}" in done.stdout


def test_the_marker_is_in_the_list_of_markers(tmp_path: Path) -> None:
    assert "xen_model(world='pvh'" in run(tmp_path, "--markers").stdout


def test_the_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    shown = "[name for name in sys.modules if 'cffi' in name or name.startswith('xenvcpu.')]"
    code = f"import sys, xenvcpu.pytest_plugin; print({shown})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), ROOT])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['xenvcpu.pytest_plugin']"


REAL = '''
import pytest

@pytest.mark.real_xen
def test_needs_xen(xen_domain):
    raise AssertionError("it ran")

@pytest.mark.real_xen("dom0")
def test_needs_dom0():
    raise AssertionError("it ran")

def test_goes_where_it_is_told(xen_domain):
    assert xen_domain.name == "web"

def test_asks_for_the_model(xen_host, xen_model):
    assert xen_host.kind == "model" and xen_host.domain("web").domid == 1

@pytest.mark.xen_model("lab")
def test_asks_by_marker(xen_domain):
    assert xen_domain.name == "nano"

@pytest.mark.parametrize("xen_model", ["hvm"], indirect=True)
def test_asks_by_parameter(xen_domain):
    assert xen_domain.name == "db"
'''
COMPARED = '''
from dataclasses import replace
from xenvcpu import flat32

def test_records(xen_domain):
    record = xen_domain.record(0)
    assert record == record.with_values(rip=0x1000, r15=7)

def test_contexts():
    left = flat32(eip=0x1000)
    assert left == left.replace(rax=1, cs=replace(left.cs, limit=0xfff), r8=5)

def test_images():
    from xenvcpu.abi import cpu_record
    image = cpu_record.LAYOUT.image()
    assert image == cpu_record.LAYOUT.image(rest=bytes(24) + b"x")

def test_layouts():
    from xenvcpu.abi import cpu_record
    assert cpu_record.LAYOUT.image() == cpu_record.LAYOUT_46.image()
'''


def counts(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0]


def test_the_example_in_examples_works() -> None:
    done = run(EXAMPLE, "-rs")
    assert counts(done) == "9 passed, 1 skipped", done.stdout + done.stderr


def test_a_test_of_a_real_xen_is_skipped_on_the_model(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(REAL)
    done = run(tmp_path, "-rs")
    assert counts(done) == "4 passed, 2 skipped", done.stdout + done.stderr
    assert "needs a real Xen: --xen-host=dom0 or --xen-host=guest" in done.stdout


@without_xen
@pytest.mark.parametrize("chosen", ["dom0", "guest"])
def test_without_xen_what_needs_it_is_skipped_and_not_failed(tmp_path: Path, chosen: str) -> None:
    (tmp_path / "test_theirs.py").write_text(REAL)
    done = run(tmp_path, f"--xen-host={chosen}", "-rs")
    assert counts(done) == "3 passed, 3 skipped", done.stdout + done.stderr
    assert f"--xen-host={chosen}, but this machine is not under Xen" in done.stdout


@pytest.mark.parametrize(
    ("chosen", "found", "reason"),
    [
        ("dom0", "dom0", None), ("guest", "guest", None), ("dom0", "guest", "this machine is a guest"),
        ("guest", "dom0", "this machine is dom0"), ("dom0", "none", "this machine is not under Xen"),
    ],
)
def test_a_host_must_be_what_was_chosen(chosen: str, found: str, reason: Optional[str]) -> None:
    said = why_not(chosen, found)
    assert said == (reason and f"--xen-host={chosen}, but {reason}")


def test_a_marker_that_names_no_host_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import pytest\n@pytest.mark.real_xen('moon')\ndef test_it():\n    pass\n"
    )
    done = run(tmp_path)
    assert counts(done) == "1 error" and "real_xen('moon')" in done.stdout


def test_an_assertion_says_which_register_differs(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(COMPARED)
    told = run(tmp_path).stdout
    for line in (
        "assert hvm_hw_cpu == hvm_hw_cpu, but 2 differ:", "rip: 0xffffffff81c01234 != 0x1000", "r15: 0x0 != 0x7",
        "assert VcpuContext == VcpuContext, but 3 differ:", "rax: 0x0 != 0x1", "cs.limit: 0xffffffff != 0xfff",
        "r8: None != 0x5", "but 1 differs:", "rest: from byte 24 on: 0000000000000000 != 7800000000000000",
        "layout: hvm_hw_cpu of 1032 bytes != hvm_hw_cpu of 1024 bytes",
    ):
        assert line in told, f"{line!r} is not in:\n{told}"
