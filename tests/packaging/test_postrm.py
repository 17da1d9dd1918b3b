# SPDX-License-Identifier: MIT
"""What is left behind when the Debian package goes: its script, on files below a folder of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable, Dict

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "debian/python3-xenvcpu.postrm"
OURS = "#!/bin/sh\n# Made by xenvcpu: libvirt install-hook\n/usr/bin/xenvcpu\n"
FOREIGN = "#!/bin/sh\n# Made by xenvcpu: libvirt install-hook\n/opt/xenvcpu/bin/xenvcpu\n"
HOOK, UNIT = "etc/libvirt/hooks/libxl.d/xenvcpu", "etc/systemd/system/xenvcpu-libvirt.service"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="a release has no debian/: it comes from a clone")

Leave = Callable[[str, Dict[str, str]], "set[str]"]


@pytest.fixture
def leave(tmp_path: Path) -> Leave:
    """`leave("remove", {file: text})` is which of these files stay."""

    def run(action: str, files: Dict[str, str]) -> "set[str]":
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        text = SCRIPT.read_text(encoding="utf-8")
        for folder in ("/etc/", "/run/", "/var/"):
            text = text.replace(folder, f"{tmp_path}{folder}")
        subprocess.run(["sh", "-c", text, "postrm", action], check=True, timeout=30)
        return {name for name in files if (tmp_path / name).exists()}

    return run


@pytest.mark.parametrize(("action", "stays"), [("upgrade", {HOOK, UNIT}), ("remove", {UNIT}), ("purge", set())])
def test_a_hook_goes_with_the_package_and_a_service_with_a_purge(leave: Leave, action: str, stays: "set[str]") -> None:
    assert leave(action, {HOOK: OURS, UNIT: OURS}) == stays


@pytest.mark.parametrize("action", ["remove", "purge"])
def test_what_another_installation_made_stays(leave: Leave, action: str) -> None:
    assert leave(action, {HOOK: FOREIGN, UNIT: "[Unit]\n"}) == {HOOK, UNIT}
