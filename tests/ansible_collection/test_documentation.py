# SPDX-License-Identifier: MIT
"""What the collection documents is what its modules take, and what Ansible's own tools make of it."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from typing import Any, Dict

import pytest
from tests.ansible_collection.conftest import COLLECTION, ansible

import xenvcpu

MODULES = ("xenvcpu", "xenvcpu_info")
_HERE = "ansible_collections.xenvcpu.xen.plugins"


def documentation(path: Path) -> Any:
    """The DOCUMENTATION, EXAMPLES or RETURN blocks of a plugin, parsed, by name."""
    yaml = importlib.import_module("yaml")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    found = {target.id: node.value for node in nodes for target in node.targets if isinstance(target, ast.Name)}
    texts = {name: value.value for name, value in found.items() if isinstance(value, ast.Constant)}
    return {name: yaml.safe_load(texts[name]) for name in ("DOCUMENTATION", "EXAMPLES", "RETURN") if name in texts}


def documented_options(module: str) -> Dict[str, Any]:
    """The options as they are documented, without their descriptions."""
    plugins = COLLECTION / "plugins"
    fragment = documentation(plugins / "doc_fragments/host.py")["DOCUMENTATION"]["options"]
    own = documentation(plugins / f"modules/{module}.py")["DOCUMENTATION"]["options"]
    return {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in {**fragment, **own}.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_documented_options_are_those_that_it_takes(module: str) -> None:
    assert documented_options(module) == importlib.import_module(f"{_HERE}.modules.{module}").ARGUMENTS


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_use_options_that_there_are(module: str) -> None:
    tasks = documentation(COLLECTION / f"plugins/modules/{module}.py")["EXAMPLES"]
    used = [set(task[name]) for task in tasks for name in task if name == f"xenvcpu.xen.{module}" and task[name]]
    assert used and set().union(*used) <= set(documented_options(module))


def test_the_collection_has_the_version_of_the_package() -> None:
    (version,) = re.findall(r"^version: (.*)$", (COLLECTION / "galaxy.yml").read_text(), re.MULTILINE)
    assert version == xenvcpu.__version__


def test_it_is_built_and_installed_and_its_documentation_read(tmp_path: Path) -> None:
    """From the checkout by ansible-galaxy, without a network; ansible-doc then reads the modules as installed."""
    # Ansible finds the collections beside whatever Python imports, too.
    env = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "PYTHONPATH": ""}
    built = ansible("galaxy", "collection", "build", COLLECTION, folder=tmp_path, env=env, timeout=900)
    assert built.returncode == 0, built.stdout
    for source in (COLLECTION, tmp_path / f"xenvcpu-xen-{xenvcpu.__version__}.tar.gz"):
        install = ("collection", "install", "--offline", "--force", "-p", tmp_path, source)
        installed = ansible("galaxy", *install, folder=tmp_path, env=env, timeout=900)
        assert installed.returncode == 0, installed.stdout
    names = [f"xenvcpu.xen.{module}" for module in MODULES]
    read = ansible("doc", "--json", "-t", "module", *names, folder=tmp_path, env=env, timeout=900)
    found = json.loads(read.stdout)
    assert sorted(found) == names
    for name in names:
        assert Path(found[name]["doc"]["filename"]).is_relative_to(tmp_path)
        assert set(found[name]["doc"]["options"]) == set(documented_options(name.rpartition(".")[2]))
        assert found[name]["return"] and found[name]["examples"]
