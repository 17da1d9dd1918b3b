# SPDX-License-Identifier: MIT
"""The compiler and the installed Xen headers. Without them these tests are skipped, or fail where they are required."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, NoReturn, Sequence

import pytest

from xenvcpu.rules.release import Release

PACKAGES = ("xencontrol", "xenguest", "xencall", "xenforeignmemory", "xenstore", "xentoollog")
REQUIRED = "XENVCPU_REQUIRE_HEADERS"
INCLUDES = "\n".join(
    f"#include <{name}>"
    for name in (
        "stddef.h", "stdio.h", "stdlib.h", "xentoollog.h", "xenctrl.h", "xenguest.h", "xencall.h", "xenforeignmemory.h",
        "xenstore.h",
        "xen/vcpu.h", "xen/version.h", "xen/hvm/hvm_vcpu.h", "xen/hvm/save.h",
        "xen/hvm/ioreq.h", "xen/memory.h",
    )
)
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


class Headers(NamedTuple):
    """The installed development files of Xen.

    Attributes:
        release: The Xen that they are of.
        cflags: How to compile with them.
        libs: How to link with the libraries.
    """

    release: Release
    cflags: List[str]
    libs: List[str]

    def compile(self, folder: Path, lines: Sequence[str]) -> str:
        """Compile lines of C behind the Xen headers; returns what the compiler complains of."""
        source = folder / "check.c"
        source.write_text("\n".join([INCLUDES, *lines, ""]))
        command = ["gcc", "-std=gnu11", "-fsyntax-only", *STRICT, *self.cflags, str(source)]
        return subprocess.run(command, capture_output=True, text=True).stderr


def _missing(reason: str) -> NoReturn:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{reason} ({REQUIRED} is set)")
    pytest.skip(reason)


def _pkg_config(option: str, *packages: str) -> List[str]:
    done = subprocess.run(["pkg-config", option, *packages], capture_output=True, text=True)
    if done.returncode:
        _missing(f"no Xen headers: {done.stderr.splitlines()[0]}; install libxen-dev (Debian) or xen-devel (Fedora)")
    return done.stdout.split()


@pytest.fixture(scope="session")
def headers() -> Headers:
    """The Xen headers that pkg-config knows."""
    for tool in ("gcc", "pkg-config"):
        if shutil.which(tool) is None:
            _missing(f"no {tool} on this machine")
    version = _pkg_config("--modversion", "xencontrol")[0]
    return Headers(Release.parse(version), _pkg_config("--cflags", *PACKAGES), _pkg_config("--libs", *PACKAGES))
