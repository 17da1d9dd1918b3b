# SPDX-License-Identifier: MIT
"""The declarations in `cbind`, compiled against the installed Xen headers."""

from __future__ import annotations

import importlib.util
import re
import sysconfig
from pathlib import Path
from typing import Any, Collection, List, Tuple

import pytest
from cffi import FFI

from cbind import build
from xenvcpu._xen import ffi as abi_ffi

from .conftest import INCLUDES, STRICT, Headers



def prototypes(without: Collection[str] = ()) -> List[str]:
    """The functions that are declared, but for those of some files."""
    text = re.sub(r"/\*.*?\*/|^#.*?$", "", build.declarations(without), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(each.split()) for each in re.findall(r"[^;{}]*\([^;{}]*\);", text)]


def absent(headers: Headers) -> List[str]:
    """The files whose functions the installed Xen does not have."""
    return [file for file, minors in build.MINORS.items() if headers.release.minor not in minors]


def is_defined(struct: str) -> bool:
    """Whether the fields of a struct are declared, not only its name."""
    try:  # not by `typeof(struct).fields`: cffi 2.1 aborts where there are none
        return abi_ffi.sizeof(struct) > 0
    except abi_ffi.error:
        return False


STRUCTS = [struct for struct in (f"struct {name}" for name in abi_ffi.list_types()[1]) if is_defined(struct)]


@pytest.fixture(scope="module")
def api(headers: Headers, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same declarations as an API-mode module: the compiler reads them beside the real ones."""
    pytest.importorskip("setuptools", reason="setuptools is not installed; cffi compiles with it")
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        pytest.skip("no Python.h: install the development files of this Python")
    ffi = FFI()
    ffi.cdef(build.declarations(absent(headers)))
    ffi.set_source("_xen_api", INCLUDES, extra_compile_args=[*headers.cflags, *STRICT], extra_link_args=headers.libs)
    path = ffi.compile(tmpdir=str(tmp_path_factory.mktemp("api")))
    spec = importlib.util.spec_from_file_location("_xen_api", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("prototype", prototypes())
def test_a_prototype_is_that_of_the_header(headers: Headers, tmp_path: Path, prototype: str) -> None:
    """C lets a function be declared twice, if both say the same."""
    assert headers.compile(tmp_path, [prototype]) == ""


def test_a_prototype_that_differs_is_noticed(headers: Headers, tmp_path: Path) -> None:
    assert "conflicting types" in headers.compile(tmp_path, ["int xc_domain_pause(xc_interface *xch, uint16_t domid);"])


def test_every_function_can_be_taken_from_the_library(api: Any, headers: Headers) -> None:
    for prototype in prototypes(absent(headers)):
        name = prototype.partition("(")[0].split()[-1].lstrip("*")
        assert api.ffi.typeof(getattr(api.lib, name)).kind == "function"


def test_every_constant_has_the_value_of_the_header(api: Any) -> None:
    """cffi compares a constant when it is first read."""
    names = [name for name in dir(api.lib) if isinstance(getattr(api.lib, name), int)]
    assert "XTL_INFO" in names
    for name in names:
        assert getattr(api.lib, name) == abi_ffi.integer_const(name)


def lies(ffi: Any, struct: str) -> Tuple[object, ...]:
    """The size and alignment of a struct, and the offset and size of each field."""
    fields = tuple((field, info.offset, ffi.sizeof(info.type)) for field, info in ffi.typeof(struct).fields)
    return ffi.sizeof(struct), ffi.alignof(struct), fields


@pytest.mark.parametrize("other", ["int b; int a;", "int a; char b;", "int a; long b;", "int a; int b; int c;"])
def test_a_struct_that_lies_otherwise_is_noticed(other: str) -> None:
    ours, theirs = FFI(), FFI()
    ours.cdef("struct s { int a; int b; };")
    theirs.cdef(f"struct s {{ {other} }};")
    assert lies(ours, "struct s") != lies(theirs, "struct s")


def test_there_is_something_to_compare() -> None:
    assert len(prototypes()) > 20 and len(STRUCTS) > 5


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_lies_in_memory_as_in_the_header(api: Any, name: str) -> None:
    """cffi compares fields with the compiler's when a struct is first used; sizes and offsets once more here."""
    assert lies(abi_ffi, name) == lies(api.ffi, name)
