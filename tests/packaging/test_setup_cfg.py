# SPDX-License-Identifier: MIT
"""What the wheel is made of: everything in the package, and nothing that setuptools would leave out in silence."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path
from typing import Dict, List

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "xenvcpu"


def setup_cfg() -> configparser.ConfigParser:
    """The metadata."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(section: str, option: str) -> List[str]:
    """The entries of an option that has one a line."""
    return [line.strip() for line in setup_cfg()[section][option].splitlines() if line.strip()]


def entry_points() -> Dict[str, str]:
    """Every entry point, by its group, as `module` or `module:attribute`."""
    return {group: entry.partition("=")[2].strip() for group in setup_cfg()["options.entry_points"]
            for entry in lines("options.entry_points", group)}


def files() -> List[Path]:
    """The files below the package, without what Python leaves there."""
    return [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_every_folder_of_the_package_is_a_package() -> None:
    """`find:` passes by a folder that has no `__init__.py`."""
    assert [path for path in files() if not (path.parent / "__init__.py").exists()] == []


def test_every_data_file_is_named_in_package_data() -> None:
    patterns = lines("options.package_data", "*")
    data = [path for path in files() if path.suffix != ".py"]
    assert [path for path in data if not any(path.match(pattern) for pattern in patterns)] == []


def test_the_core_needs_cffi_and_for_the_command_click_and_tomli() -> None:
    """`tests/bare.py` shows that `import xenvcpu` and a start use cffi alone."""
    assert [re.split("[>;]", line)[0] for line in lines("options", "install_requires")] == ["cffi", "click", "tomli"]


@pytest.mark.parametrize("group", entry_points())
def test_an_entry_point_leads_somewhere(group: str) -> None:
    module, _, attribute = entry_points()[group].partition(":")
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    names = {getattr(node, "name", "") for node in ast.parse(source.read_text(encoding="utf-8")).body}
    assert not attribute or attribute in names
