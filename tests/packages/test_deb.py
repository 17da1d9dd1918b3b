# SPDX-License-Identifier: MIT
"""The Debian packages: what they hold, what they need, and that what they install runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from integration.lab.errors import CommandError, HostCannotError
from integration.lab.packages import PackageSource
from integration.lab.releases import RELEASES

PYTHON = "/usr/bin/python3"
MODULES = "usr/lib/python3/dist-packages"
PLACES = {
    "library": (MODULES, "usr/share/doc/python3-xenvcpu", "usr/share/lintian"),
    "command": (
        "lib/systemd/system/xenvcpu-libvirt.service", "usr/bin/xenvcpu",
        "usr/share/bash-completion/completions/xenvcpu", "usr/share/doc/xenvcpu",
        "usr/share/fish/vendor_completions.d/xenvcpu.fish", "usr/share/lintian", "usr/share/man",
        "usr/share/zsh/vendor-completions/_xenvcpu",
    ),
}
SYSTEMD = re.compile("^usr/(?=lib/systemd/)")
"""Where debhelper puts units: below /usr since Debian 13."""
CLICK_7 = "bullseye"
"""The suite whose click is too old for the command."""


def members(deb: Path) -> List[List[str]]:
    """The files in a package, as `ls -l` shows them: mode, owner, size, date, time, name."""
    listed = subprocess.run(["dpkg-deb", "--contents", str(deb)], check=True, capture_output=True, text=True).stdout
    return [line.split(maxsplit=5) for line in listed.splitlines() if not line.startswith("d")]


@pytest.mark.parametrize("package", PLACES)
def test_files_lie_where_debian_has_them(package: str, request: pytest.FixtureRequest) -> None:
    """No hook of libvirt among them; nothing below /etc; all root's, and nobody else's to write."""
    found = members(request.getfixturevalue(package))
    names = [SYSTEMD.sub("", member[5].split(" -> ")[0][2:]) for member in found]
    assert [name for name in names if not name.startswith(PLACES[package])] == []
    assert [place for place in PLACES[package] if not any(name.startswith(place) for name in names)] == []
    assert {member[1] for member in found} == {"root/root"}
    assert {member[0] for member in found} <= {"-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}


def test_the_modules_are_those_of_the_wheel(installed: Path, modules: Dict[str, bytes]) -> None:
    base = installed / MODULES
    found = {path for path in (base / "xenvcpu").rglob("*") if path.is_file()}
    assert {str(path.relative_to(base)): path.read_bytes() for path in found} == modules


def debians(installed: Path, *command: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the unpacked command with Debian's Python, which has the click that the package was built with."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-I", "-c", "import click, _cffi_backend"]).returncode:
        pytest.skip(f"{PYTHON} has no click or cffi: apt-get build-dep .")
    path = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(installed / MODULES), **environment}
    return subprocess.run([str(word) for word in command], env=path, capture_output=True, text=True, timeout=120)


def test_the_command_starts_a_vcpu(installed: Path, tmp_path: Path) -> None:
    """On a model that several processes share, and so with a guard, which is started from there too."""
    program, world, file = installed / "usr/bin/xenvcpu", tmp_path / "world.json", tmp_path / "ap.toml"
    file.write_text(debians(installed, program, "preset", "flat32").stdout)
    for arguments in (
        ("model", "new", world, "--domain", "web:2"),
        ("--host", f"model:{world}", "start", "web", "1", file, "--set", "eip=0x100000"),
        ("--host", f"model:{world}", "show", "web", "1"),
    ):
        done = debians(installed, program, *arguments)
        assert done.returncode == 0, done.stderr
    assert "rip    0000000000100000" in done.stdout


def test_bash_completes(installed: Path) -> None:
    """With the script in the folder where bash looks for it."""
    script = installed / "usr/share/bash-completion/completions/xenvcpu"
    code = f'. {script}; COMP_WORDS=(xenvcpu st); COMP_CWORD=1; _xenvcpu_completion xenvcpu; echo "${{COMPREPLY[@]}}"'
    done = debians(installed, "bash", "-c", code, PATH=f"{installed}/usr/bin:/usr/bin:/bin")
    assert done.stdout.split() == ["start", "stop"], done.stderr


def test_lintian_finds_nothing(library: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    (changes,) = library.parent.glob("*.changes")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(changes)], capture_output=True, text=True,
    )
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr


@pytest.fixture(scope="module", params=sorted({release.suite for release in RELEASES.values()}))
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PackageSource:
    """apt of each Debian that has a Xen of the lab, with nothing installed."""
    if shutil.which("apt-get") is None:
        pytest.skip("no apt on this machine")
    try:
        return PackageSource(request.param, tmp_path_factory.mktemp(request.param))
    except (CommandError, HostCannotError) as error:
        pytest.skip(f"no archive of Debian {request.param}: {error}")


def test_each_debian_installs_what_its_xen_needs(suite: PackageSource, library: Path) -> None:
    """The libraries of that Debian's own Xen come with the modules."""
    found = suite.would_install(library, recommended=True)
    xen = {f"libxenmisc{release.xen}" for release in RELEASES.values() if release.suite == suite.name}
    assert xen | {"libxencall1", "libxenforeignmemory1", "libxentoollog1", "python3-cffi-backend"} <= found
    assert {"libxenstore4", "libxenstore3.0"} & found


def test_the_command_installs_where_click_is_new(suite: PackageSource, library: Path, command: Path) -> None:
    """Without any of Xen, where that is asked for; elsewhere apt refuses before anything is changed."""
    if suite.name == CLICK_7:
        with pytest.raises(CommandError, match="python3-click"):
            suite.would_install(library, command)
        return
    found = suite.would_install(library, command)
    assert {"xenvcpu", "python3-click", "python3-rich"} <= found
    assert {name for name in found if "xen" in name} == {"xenvcpu", "python3-xenvcpu"}
