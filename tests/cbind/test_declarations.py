# SPDX-License-Identifier: MIT
"""The declarations, and the module made from them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from cbind import build
from xenvcpu._xen import ffi


def test_every_file_of_declarations_is_listed() -> None:
    assert sorted(build.DECLARATIONS) == sorted(path.name for path in build.FOLDER.glob("*.h"))


def test_the_checked_in_module_is_what_the_declarations_give(tmp_path: Path) -> None:
    checked_in = build.FOLDER.parent / "xenvcpu" / "_xen.py"
    assert checked_in.read_text() == build.build(tmp_path).read_text(), "run: python -m cbind.build"


def test_reading_a_function_that_the_library_lacks_raises_ffi_error() -> None:
    """Not AttributeError: `hasattr` on an opened library does not answer, it raises."""
    with pytest.raises(ffi.error, match="xc_domain_pause"):
        ffi.dlopen(None).xc_domain_pause  # noqa: B018


def test_importing_the_package_opens_no_library_and_loads_no_cffi() -> None:
    code = "import sys, xenvcpu; print(sorted(m for m in sys.modules if 'cffi' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_stub_promises_the_module_has() -> None:
    stub = (build.FOLDER.parent / "xenvcpu" / "_xen.pyi").read_text()
    promised = next(node for node in ast.parse(stub).body if isinstance(node, ast.ClassDef))
    names = [getattr(node, "name", ast.unparse(node).partition(":")[0]) for node in promised.body]
    assert {"new", "errno"} <= set(names)
    assert [name for name in names if not hasattr(ffi, name)] == []
