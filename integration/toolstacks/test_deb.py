# SPDX-License-Identifier: MIT
"""The Debian packages in a real dom0: installed by dpkg, with Debian's own Python packages and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from integration import limits, starts
from integration.evidence.tiny import TinyGuest

Factory = Callable[..., TinyGuest]

DEBS = "XENVCPU_DEBS"
"""Names the folder with the packages."""
LIBRARY, COMMAND = "python3-xenvcpu", "xenvcpu"
MODULES = "/usr/lib/python3/dist-packages"
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""The environment: nothing of it leads to another installation."""
CLICK = "8"
"""What the command needs."""
HOOKS, KEPT, LOCKS = map(Path, ("/etc/libvirt/hooks/libxl.d", "/var/lib/xenvcpu", "/run/lock/xenvcpu"))

WHERE = """
import sys, json, _cffi_backend, xenvcpu
print(json.dumps([sys.path, xenvcpu.__version__, *(module.__file__ for module in (_cffi_backend, xenvcpu))]))
"""
GUARD = """
import json, os, sys, xenvcpu
from pathlib import Path
from xenvcpu.api import PRESETS
domid, eip = sys.argv[1], int(sys.argv[2])
with xenvcpu.open_host("dom0") as host:
    host.domain(domid).start([1], lambda vcpuid: PRESETS["flat32"]().replace(rip=eip, rdi=0x77))
    children = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    print(json.dumps([[Path("/proc", child, name).read_text() for name in ("cmdline", "maps")] for child in children]))
"""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Runs a program of Debian's."""
    return limits.run([str(word) for word in command], 200, env=CLEAN, cwd="/")


def must(*command: object) -> str:
    """Runs a program that has to end well, and returns what it printed."""
    done = run(*command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def deb(package: str) -> Path:
    """The package's file."""
    found = sorted(Path(os.environ.get(DEBS) or "/nonexistent").glob(f"{package}_*_all.deb"))
    if not found:
        pytest.skip(f"{DEBS} names no folder with {package}_*_all.deb (make deb; the lab's --deb)")
    return found[0]


def version(package: str) -> str:
    return must("dpkg-query", "--show", "--showformat", "${Version}", package)


@pytest.fixture(scope="module")
def library() -> Iterator[str]:
    """The library, installed; purged afterwards."""
    must("dpkg", "--install", deb(LIBRARY))
    yield LIBRARY
    must("dpkg", "--purge", LIBRARY)


@pytest.fixture(scope="module")
def command(library: str) -> Iterator[str]:
    """The command, installed beside the library; purged afterwards."""
    path = deb(COMMAND)
    click = version("python3-click")
    if run("dpkg", "--compare-versions", click, "lt", CLICK).returncode == 0:
        pytest.skip(f"this Debian has click {click}, and the command needs {CLICK}")
    must("dpkg", "--install", path)
    yield "/usr/bin/xenvcpu"
    must("dpkg", "--purge", COMMAND)


def test_dpkg_knows_what_the_library_needs(library: str) -> None:
    """What it needs is there as packages, and cannot be taken away."""
    refused = run("dpkg", "--dry-run", "--remove", "python3-cffi-backend")
    assert refused.returncode != 0 and f"{library} depends on python3-cffi-backend" in refused.stderr, refused.stderr


def test_the_modules_are_the_packages(library: str) -> None:
    """Python imports them from where Debian has them, and no other installation can be seen."""
    path, found, backend, package = json.loads(must("/usr/bin/python3", "-I", "-c", WHERE))
    assert not [place for place in path if place.startswith(("/lab", "/usr/local", "/root"))]
    assert Path(package).parent == Path(MODULES, "xenvcpu") and Path(backend).parent == Path(MODULES)
    assert version(library).startswith(found + "-")
    assert library in must("dpkg", "--search", package)


def test_a_guard_of_debians_modules_starts_a_vcpu(library: str, tiny_guest: Factory) -> None:
    """The guard finds the package and cffi there, although it starts without site-packages."""
    guest = tiny_guest(vcpus=2)
    eip = starts.context(guest, "flat32", 1).rip
    ((words, maps),) = json.loads(must("/usr/bin/python3", "-I", "-c", GUARD, guest.domid, eip))
    assert words.startswith("/usr/bin/python3\0-I\0-S\0") and f'"path": ["{MODULES}"]' in words
    assert f"{MODULES}/_cffi_backend" in maps and "/lab/" not in maps
    assert guest.dump(1)["rdi"] == 0x77
    guest.await_beats()


def test_the_command_starts_and_stops_vcpus(command: str, tiny_guest: Factory, tmp_path: Path) -> None:
    """With a file in TOML, by name."""
    guest = tiny_guest(vcpus=3)
    contexts = [starts.context(guest, "flat32", vcpuid).rip for vcpuid in (1, 2)]
    file = tmp_path / "ap.toml"
    file.write_text(must(command, "preset", "flat32"))
    place = f"eip={contexts[0]} + {contexts[1] - contexts[0]} * (vcpuid - 1)"
    must(command, "start", guest.name, "1-2", file, "--set", place, "--set", "edi=0x500 + vcpuid")
    assert [guest.dump(vcpuid)["rdi"] for vcpuid in (1, 2)] == [0x501, 0x502]
    must(command, "stop", guest.name, "1-2")
    assert guest.online() == [0]
    guest.await_beats()


def test_the_doctor_finds_the_right_libraries(command: str) -> None:
    """Those of the Xen that runs, out of a package that is recommended."""
    checks = {check["name"]: check for check in json.loads(must(command, "doctor", "--json"))["checks"]}
    names = ("libxenctrl", "libxenstore", "libxenforeignmemory", "privcmd", "click", "rich")
    assert {name: checks[name]["status"] for name in names} == dict.fromkeys(names, "ok")
    release = ".".join(checks["libxenctrl"]["detail"].removeprefix("Xen ").split(".")[:2])
    owner = must("dpkg", "--search", f"*/libxenctrl.so.{release}").partition(":")[0]
    assert owner in must("dpkg-query", "--show", "--showformat", "${Recommends}", LIBRARY)


def test_a_purge_leaves_only_what_could_not_be_put_back(command: str) -> None:
    """It comes last: afterwards nothing is installed, and the hook that the command made is gone too."""
    hook, foreign = HOOKS / "xenvcpu", HOOKS / "another"
    must(command, "libvirt", "install-hook")
    foreign.write_text("#!/bin/sh\n")
    assert MODULES in hook.read_text()
    shutil.rmtree(KEPT, ignore_errors=True)  # the races leave some behind
    KEPT.mkdir(parents=True)
    capture = KEPT / "capture.json"
    capture.write_text("{}")
    told = run("dpkg", "--purge", COMMAND, LIBRARY)
    assert told.returncode == 0 and f"{KEPT} holds what could not be put back" in told.stderr, told.stderr
    assert capture.exists() and foreign.exists() and not hook.exists()
    assert not LOCKS.exists() and not Path(MODULES, "xenvcpu").exists()
    capture.unlink()
    foreign.unlink()
    must("dpkg", "--install", deb(LIBRARY))
    must("dpkg", "--purge", LIBRARY)
    assert not KEPT.exists()
