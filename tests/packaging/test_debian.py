# SPDX-License-Identifier: MIT
"""debian/ says what setup.cfg and the package say: each fact that stands in both is the same."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Dict, List

import pytest

from integration.lab.releases import RELEASES, Release
from xenvcpu.libraries import _STABLE

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "debian"

pytestmark = pytest.mark.skipif(not DEBIAN.exists(), reason="a release has no debian/: it comes from a clone")


def paragraphs() -> Dict[str, Dict[str, str]]:
    """The packages that debian/control makes, by name; each field on one line."""
    found = {}
    for text in (DEBIAN / "control").read_text(encoding="utf-8").split("\n\n"):
        pairs = (line.partition(":") for line in re.sub(r"\n[ \t]+", " ", text).splitlines())
        fields = {name: value.strip() for name, _, value in pairs}
        found[fields.get("Package", "")] = fields
    return found


def relations(package: str, field: str) -> List[str]:
    """The entries of a field, alternatives apart."""
    return [entry.strip() for entry in re.split(r"[,|]", paragraphs()[package][field]) if entry.strip()]


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_the_changelog_is_for_this_version() -> None:
    newest = (DEBIAN / "changelog").read_text(encoding="utf-8").split("\n", 1)[0]
    assert re.fullmatch(rf"xenvcpu \({re.escape(setup_cfg()['metadata']['version'])}-\d+\) \S+; urgency=\w+", newest)


def test_the_command_needs_click_and_rich_as_new_as_the_wheel_does() -> None:
    """The modules alone need neither, so that they install where click is old; they read context files with tomli."""
    core, rich = setup_cfg()["options"]["install_requires"], setup_cfg()["options.extras_require"]["rich"]
    named = dict(line.strip().split(">=") for line in f"{core}\n{rich}".splitlines() if ">=" in line)
    asked = {f"python3-{name} (>= {named[name]})" for name in ("click", "rich")}
    assert asked <= set(relations("xenvcpu", "Depends"))
    assert not [entry for entry in relations("python3-xenvcpu", "Depends") if "click" in entry]
    assert "python3-tomli" in relations("python3-xenvcpu", "Recommends")


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_the_libxenctrl_of_each_debian_is_recommended(release: Release) -> None:
    assert f"libxenmisc{release.xen}" in relations("python3-xenvcpu", "Recommends")


def test_the_stable_libraries_are_recommended() -> None:
    """By the names that an error tells to install."""
    named = {word for names in _STABLE.values() for word in re.findall(r"lib[a-z]+[\d.]*\d", names.debian)}
    assert named and named <= set(relations("python3-xenvcpu", "Recommends"))


def test_the_modules_need_the_python_that_setup_cfg_names() -> None:
    source = paragraphs()[""]
    assert source["X-Python3-Version"].replace(" ", "") == setup_cfg()["options"]["python_requires"]
