# SPDX-License-Identifier: MIT
"""dpkg reads the database that the lab writes, and judges by it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from integration.lab import dpkgdatabase
from integration.lab.packages import unpack

pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg on this machine")


def package(folder: Path, name: str, place: str = "", **fields: str) -> Path:
    """Builds a package of one file, /usr/share/PLACE/file; the place is its name if none is given."""
    tree = folder / name
    file = tree / "usr/share" / (place or name) / "file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    (tree / "DEBIAN").mkdir(mode=0o755)
    control = {"Package": name, "Version": "2", "Architecture": "all", "Maintainer": "a <a@b.invalid>"}
    control.update({key.replace("_", "-"): value for key, value in fields.items()}, Description="x")
    text = "".join(f"{key}: {value}\n" for key, value in control.items())
    (tree / "DEBIAN/control").write_text(text + " a second line\n")
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb)], check=True, capture_output=True)
    return deb


def dpkg(root: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Runs dpkg on an image; it asks for root, and asks in vain."""
    command = ["dpkg", f"--root={root}", "--force-not-root", *map(str, arguments)]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": path, "LC_ALL": "C"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image in which `some` 2 and `same` are installed, the second for amd64."""
    image = tmp_path / "root"
    debs = [package(tmp_path, "some"), package(tmp_path, "same", Architecture="amd64", Multi_Arch="same")]
    dpkgdatabase.write(image, unpack(debs, image))
    return image


def test_what_was_unpacked_is_installed(root: Path) -> None:
    """With all its files; and the whole database is sound."""
    done = dpkg(root, "--listfiles", "some")
    assert done.stdout.split() == ["/.", "/usr", "/usr/share", "/usr/share/some", "/usr/share/some/file"], done.stderr
    assert dpkg(root, "--listfiles", "same:amd64").stdout.split()[-1] == "/usr/share/same/file"


@pytest.mark.parametrize(("needed", "refusal"), [("some (>= 2)", ""), ("some (>= 3)", "some (>= 3)"), ("none", "none")])
def test_dependencies_are_judged(root: Path, tmp_path: Path, needed: str, refusal: str) -> None:
    """A package whose needs are met is installed, another is not configured."""
    done = dpkg(root, "--install", package(tmp_path, "new", Depends=needed))
    assert (done.returncode == 0) == (refusal == ""), done.stderr
    assert f"new depends on {refusal}" in done.stderr or not refusal


def test_a_file_of_another_package_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    done = dpkg(root, "--install", package(tmp_path, "thief", "some"))
    assert done.returncode != 0 and "which is also in package some" in done.stderr
