# SPDX-License-Identifier: MIT
"""The import direction of the design, and the size of things."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Dict, Iterator, List, Set

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "xenvcpu"
if not PACKAGE.is_dir():  # an sdist's tests beside an installed package
    PACKAGE = Path(str(importlib.util.find_spec("xenvcpu").origin)).parent  # type: ignore[union-attr]

VALUES = {
    "allowances", "context", "abi", "rules", "errors", "encoding", "draft", "contextfile", "savedstate", "vcpuset",
    "vcpustate",
}
CBIND = {"_xen", "libraries", "capturedlog"}
ALLOWED: Dict[str, Set[str]] = {
    **{name: VALUES for name in VALUES},
    "_xen": set(), "libraries": CBIND | {"errors", "processor"}, "capturedlog": CBIND | {"errors"},
    "ports": VALUES | CBIND, "processor": VALUES, "hostword": VALUES,
    "newvcpu": VALUES, "readback": VALUES, "calls": VALUES, "capture": VALUES, "left": set(), "deadline": {"errors"},
    "plan": VALUES | {"newvcpu", "calls"}, "stopplan": VALUES | {"calls"},
    "recoverplan": VALUES | {"calls", "keptfile", "newvcpu", "plan"}, "privatefolder": {"errors"},
    "putback": VALUES | {"capture", "guesttime", "left", "readback", "ports"},
    "keptfile": VALUES | {"capture", "left", "privatefolder"},
    "plaintext": set(), "systemlog": set(), "audit": {"plaintext", "systemlog"},
    "pausing": VALUES | {"ports"}, "heldsignals": set(),
    "availability": {"vcpuset"}, "lock": {"deadline", "errors", "privatefolder"},
    "keeper": VALUES | {"audit", "capture", "deadline", "left", "pausing", "ports"},
    "change": VALUES | {"calls"},
    "fitness": VALUES | {"change"},
    "devicerequests": VALUES | {"change", "deadline", "ports"},
    "heldpause": {"deadline", "errors", "heldsignals", "keeper", "left", "pausing"},
    "transaction": VALUES | {
        "audit", "calls", "capture", "change", "deadline", "devicerequests", "fitness", "guesttime", "heldpause",
        "keeper", "left", "ports", "putback", "readback",
    },
    "guestplan": VALUES | {"newvcpu", "ports"}, "guestleft": {"errors", "ports"},
    "guesttime": VALUES, "bystanders": VALUES,
    "execute": VALUES | {"bystanders", "keeper", "plan", "ports", "transaction"},
    "model": VALUES | CBIND,
}
"""What each part may import; those not listed are the api and above, and may import all."""
LOWEST = {"context", "abi", "rules", "errors"}


def part(module: str) -> str:
    """`xenvcpu.abi.layout` -> `abi`."""
    return module.split(".")[1] if "." in module else ""


def modules() -> List[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "_xen.py"]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "xenvcpu":
            names = [node.module] if node.module != "xenvcpu" else [f"xenvcpu.{alias.name}" for alias in node.names]
            yield from (str(name) for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "xenvcpu")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_layers_to_its_right(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0].replace(".py", "")
    if here in ALLOWED:
        wrong = {name for name in imports(path) if part(name) not in ALLOWED[here] | {here}}
        assert not wrong
    if here in LOWEST:
        assert {part(name) for name in imports(path)} <= LOWEST


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_at_most_400_lines_and_its_functions_45(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 45] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not path.read_text().strip(), "the module has none"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has none"
