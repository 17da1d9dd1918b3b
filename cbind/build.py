# SPDX-License-Identifier: MIT
"""Writes `xenvcpu/_xen.py` from the C declarations in this folder.

cffi's out-of-line ABI mode: the declarations become tables of a pure Python module, the
libraries are opened at run time, nothing is compiled at install. The module is checked
in, so that a plain checkout imports; a test keeps it equal to the declarations. After
a change of a declaration: `python -m cbind.build`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Collection, Mapping

from cffi import FFI

FOLDER = Path(__file__).resolve().parent
MODULE = "xenvcpu._xen"
DECLARATIONS = (
    "libc.h", "xentoollog.h", "structs.h", "xenctrl.h", "xenctrl418.h", "xenguest.h", "xenguest412.h",
    "xencall.h", "xenforeignmemory.h", "xenstore.h",
)
"""The files of this folder, each after those whose types it uses."""
MINORS: Mapping[str, range] = {
    "xenctrl418.h": range(18, 24), "xenguest.h": range(16, 24), "xenguest412.h": range(12, 16),
}
"""The releases 4.N of which a file's functions are; those of the others are in every release."""


def declarations(without: Collection[str] = ()) -> str:
    """All declarations, joined in order, but for those of some files."""
    return "\n".join((FOLDER / name).read_text(encoding="ascii") for name in DECLARATIONS if name not in without)


def builder() -> FFI:
    """A cffi builder of the ABI-mode module."""
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(MODULE, None)
    return ffi


def build(root: Path) -> Path:
    """Write the module below `root`; returns its path."""
    target = root.joinpath(*MODULE.split(".")).with_suffix(".py")
    target.parent.mkdir(parents=True, exist_ok=True)
    builder().compile(tmpdir=str(root))
    return target


if __name__ == "__main__":
    print(build(FOLDER.parent))
