# SPDX-License-Identifier: MIT
"""Stages are read from tox.ini, and chosen by their names and labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.lanes.stage import ROOT, UnknownStageError, chosen, stages

TOX = """
[testenv]
commands = pytest

[testenv:lab]
description = a real Xen
labels = test
emulates = true

[testenv:lint]
labels = check, test
debian = gcc, .

[testenv:py{39,310}]
labels = all
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "tox.ini").write_text(TOX)
    return tmp_path / "tox.ini"


def names(path: Path, *words: str) -> list[str]:
    return [stage.name for stage in chosen(words, stages(path))]


def test_an_environment_of_tox_is_a_stage(path: Path) -> None:
    lab, lint = stages(path)["lab"], stages(path)["lint"]
    assert (lab.description, lab.emulates, lint.emulates, lint.debian) == ("a real Xen", True, False, ("gcc", "."))


def test_a_section_for_several_pythons_is_as_many_stages(path: Path) -> None:
    assert list(stages(path)) == ["lab", "lint", "py39", "py310"]


def test_a_label_names_its_stages_in_the_order_of_the_file(path: Path) -> None:
    assert names(path, "test") == ["lab", "lint"]


def test_names_and_labels_add_up(path: Path) -> None:
    assert names(path, "py310", "check") == ["lint", "py310"]


def test_a_word_with_a_minus_leaves_out(path: Path) -> None:
    assert names(path, "all", "test", "-lab", "-py39") == ["lint", "py310"]


def test_a_word_that_names_nothing_is_refused_with_those_that_do(path: Path) -> None:
    with pytest.raises(UnknownStageError, match="no stage 'lnit'; stages: lab, lint, py39, py310; labels: all, check"):
        names(path, "lnit")


@pytest.mark.parametrize("label", ["check", "test", "all"])
def test_every_run_has_stages_with_a_description(label: str) -> None:
    assert chosen([label], stages()) and all(stage.description for stage in chosen([label], stages()))


def test_make_test_boots_a_real_xen_first() -> None:
    assert chosen(["test"], stages())[0].emulates


def test_every_folder_of_tests_belongs_to_a_stage() -> None:
    """A folder that `unit` leaves out is named by another."""
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")
    apart = re.findall(r"--ignore=(tests/\w+)", text)
    commands = [line for line in text.splitlines() if "pytest" in line and "{[testenv]report}" in line]
    assert apart and [folder for folder in apart if not any(folder in line for line in commands)] == []
