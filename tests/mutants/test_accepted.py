# SPDX-License-Identifier: MIT
"""Every mutant that may survive has a reason, and is one of the code as it is."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from tests.mutants.accepted import Accepted, accepted

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = accepted()


def functions(body: ast.AST, around: str = "") -> Iterator[Tuple[str, ast.AST]]:
    """Every function and class, with the name that it has in a mutant's."""
    for node in ast.iter_child_nodes(body):
        name = around
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = f"{around}.{node.name}".lstrip(".")
            yield name, node
        yield from functions(node, name)


def stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def is_current(entry: Accepted, root: Path = ROOT) -> bool:
    """Whether what a mutant changes is still there."""
    path = root / entry.module
    if not path.is_file():
        return False
    text = path.read_text()
    found = [text] if not entry.function else [
        ast.get_source_segment(text, node) or "" for name, node in functions(ast.parse(text)) if name == entry.function
    ]
    return any(f"\n{entry.before}\n" in f"\n{stripped(each)}\n" for each in found)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.function} {entry.after}"[:60])
def test_what_an_accepted_mutant_changes_is_still_there(entry: Accepted) -> None:
    assert is_current(entry)


def test_each_has_a_reason_in_words_and_is_named_once() -> None:
    assert all(len(entry.reason.split()) >= 4 and entry.before != entry.after for entry in ENTRIES)
    assert len({entry[:4] for entry in ENTRIES}) == len(ENTRIES)


def test_an_entry_whose_line_was_edited_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("class Each:\n    def one(self):\n        return 1 + 2\n\nthree = 3\n")
    entry = Accepted("module.py", "Each.one", "return 1 + 2", "return 1 - 2", "")
    assert is_current(entry, tmp_path) and is_current(entry._replace(function="", before="three = 3"), tmp_path)
    assert not any(is_current(entry._replace(**edited), tmp_path) for edited in (
        {"before": "return 1 + 3"}, {"before": "return 1"}, {"before": "three = 3"}, {"function": "one"},
        {"module": "moved.py"},
    ))
