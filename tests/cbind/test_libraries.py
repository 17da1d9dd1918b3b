# SPDX-License-Identifier: MIT
"""How the C libraries of a host are found."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import pytest

from xenvcpu.errors import HostError, LibraryMissingError
from xenvcpu.libraries import XENCTRL_MINORS, Libraries, running_minor

ABSENT = "cannot open shared object file: No such file or directory"


class Loader:
    """A dynamic loader on a host that has the libraries named; `faults` do not load, and why."""

    def __init__(self, *present: str, faults: Optional[Dict[str, str]] = None) -> None:
        self.present = present
        self.faults = faults or {}
        self.asked: List[str] = []

    def __call__(self, name: str) -> str:
        self.asked.append(name)
        if name in self.present:
            return name
        raise OSError(f"cannot load library '{name}': {self.faults.get(name, f'{name}: {ABSENT}')}")


def under_xen(folder: Path, version: str) -> Path:
    """What the kernel shows on a host under a Xen release."""
    (folder / "version").mkdir()
    for name, number in zip(("major", "minor"), version.split(".")):
        (folder / "version" / name).write_text(f"{number}\n")
    return folder


def test_the_running_xen_is_what_the_kernel_says(tmp_path: Path) -> None:
    assert running_minor(under_xen(tmp_path, "4.17")) == 17


def test_a_machine_that_is_not_under_xen_has_no_running_release(tmp_path: Path) -> None:
    assert running_minor(tmp_path) is None


def test_a_library_is_opened_when_it_is_first_needed_and_once(tmp_path: Path) -> None:
    loader = Loader("libxencall.so.1")
    libraries = Libraries(tmp_path, loader)
    assert loader.asked == []
    assert libraries.xencall is libraries.xencall
    assert loader.asked == ["libxencall.so.1"]


def test_of_several_libxenctrl_the_one_of_the_running_xen_is_opened(tmp_path: Path) -> None:
    loader = Loader("libxenctrl.so.4.18", "libxenctrl.so.4.17", "libxenctrl.so.4.16")
    assert Libraries(under_xen(tmp_path, "4.17"), loader).xenctrl == "libxenctrl.so.4.17"


def test_a_libxenctrl_of_another_release_is_no_substitute(tmp_path: Path) -> None:
    """Its structs have other sizes: it would write past the end of ours."""
    loader = Loader("libxenctrl.so.4.18", "libxenctrl.so.4.16")
    with pytest.raises(LibraryMissingError, match=r"this host runs Xen 4\.17.*install libxenmisc4\.17 "):
        Libraries(under_xen(tmp_path, "4.17"), loader).xenctrl  # noqa: B018


def test_where_the_running_xen_is_not_known_the_newest_libxenctrl_is_opened(tmp_path: Path) -> None:
    loader = Loader("libxenctrl.so.4.13", "libxenctrl.so.4.9")
    assert Libraries(tmp_path, loader).xenctrl == "libxenctrl.so.4.13"
    assert loader.asked[0] == f"libxenctrl.so.4.{max(XENCTRL_MINORS)}"


def test_libxenctrl_is_found_in_debians_folder_for_its_release(tmp_path: Path) -> None:
    path = "/usr/lib/xen-4.14/lib/x86_64-linux-gnu/libxenctrl.so.4.14"
    assert Libraries(under_xen(tmp_path, "4.14"), Loader(path)).xenctrl == path


def test_a_release_newer_than_the_declarations_is_not_called_into(tmp_path: Path) -> None:
    loader = Loader("libxenctrl.so.4.99")
    with pytest.raises(LibraryMissingError, match=r"runs Xen 4\.99; .* 4\.6 to 4\.23 is known here"):
        Libraries(under_xen(tmp_path, "4.99"), loader).xenctrl  # noqa: B018
    assert loader.asked == []


def test_the_newer_libxenstore_is_preferred(tmp_path: Path) -> None:
    assert Libraries(tmp_path, Loader("libxenstore.so.3.0", "libxenstore.so.4")).xenstore == "libxenstore.so.4"
    assert Libraries(tmp_path, Loader("libxenstore.so.3.0")).xenstore == "libxenstore.so.3.0"


@pytest.mark.parametrize(
    ("attribute", "sonames", "package"),
    [
        ("xenctrl", "libxenctrl.so.4.23 to libxenctrl.so.4.6", "libxenmisc4.N for Xen 4.N"),
        ("xencall", "libxencall.so.1", "libxencall1"),
        ("xenforeignmemory", "libxenforeignmemory.so.1", "libxenforeignmemory1"),
        ("xenstore", "libxenstore.so.4 or libxenstore.so.3.0", "libxenstore4"),
        ("xentoollog", "libxentoollog.so.1", "libxentoollog1"),
    ],
)
def test_a_missing_library_is_named_with_what_was_tried_and_the_packages_to_install(
    tmp_path: Path, attribute: str, sonames: str, package: str
) -> None:
    with pytest.raises(LibraryMissingError) as caught:
        getattr(Libraries(tmp_path, Loader()), attribute)
    message = str(caught.value)
    assert message.startswith(f"lib{attribute} is not there: no {sonames}")
    assert f"install {package}" in message
    assert "xen-libs (Fedora" in message
    assert caught.value.name == f"lib{attribute}"


def test_a_library_that_is_there_and_does_not_load_is_told_apart(tmp_path: Path) -> None:
    why = f"libxentoolcore.so.1: {ABSENT}"
    with pytest.raises(LibraryMissingError, match=r"; libxentoolcore\.so\.1: cannot open shared object file"):
        Libraries(tmp_path, Loader(faults={"libxencall.so.1": why})).xencall  # noqa: B018


def test_a_missing_library_is_an_error_of_this_host(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        Libraries(tmp_path, Loader()).xencall  # noqa: B018


def test_libc_is_there_without_any_xen_library(tmp_path: Path) -> None:
    assert Libraries(tmp_path, Loader()).libc.fflush(Libraries().ffi.NULL) == 0


def test_libxenguest_is_that_of_the_running_xen_too(tmp_path: Path) -> None:
    loader = Loader("libxenguest.so.4.18", "/usr/lib/xen-4.17/lib/x86_64-linux-gnu/libxenguest.so.4.17")
    libraries = Libraries(under_xen(tmp_path, "4.17"), loader)
    assert libraries.xenguest == "/usr/lib/xen-4.17/lib/x86_64-linux-gnu/libxenguest.so.4.17"
