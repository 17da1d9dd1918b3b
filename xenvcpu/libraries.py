# SPDX-License-Identifier: MIT
"""The real C libraries, each opened by its exact SONAME when it is first needed.

libxenctrl is bound to one release of Xen: structs that it copies out differ in size between
releases, so where the running Xen is known, only the library of that release is opened.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from xenvcpu import processor
from xenvcpu._xen import ffi
from xenvcpu.errors import LibraryMissingError
from xenvcpu.capturedlog import CapturedLog

XENCTRL_MINORS = range(23, 5, -1)
"""The releases 4.N whose libxenctrl and libxenguest are known to fit the declarations, newest first."""

_DIRECTORIES = ("", "/usr/lib/xen-4.{minor}/lib/x86_64-linux-gnu/", "/usr/lib/xen-4.{minor}/lib/")
"""Where these two are: with all other libraries, or in the folder that Debian has for one release."""

_HYPERVISOR = Path("/sys/hypervisor")


class _Names(NamedTuple):
    sonames: Tuple[str, ...]
    debian: str


_STABLE: Dict[str, _Names] = {
    "libxencall": _Names(("libxencall.so.1",), "libxencall1"),
    "libxenforeignmemory": _Names(("libxenforeignmemory.so.1",), "libxenforeignmemory1"),
    "libxenstore": _Names(("libxenstore.so.4", "libxenstore.so.3.0"), "libxenstore4 (libxenstore3.0 up to Xen 4.15)"),
    "libxentoollog": _Names(("libxentoollog.so.1", "libxenctrl.so.4.6"), "libxentoollog1"),
}


def running_minor(hypervisor: Path = _HYPERVISOR) -> Optional[int]:
    """The N of the Xen 4.N that this machine runs under, as the kernel says; None when it does not."""
    try:
        major, minor = (int((hypervisor / "version" / name).read_text()) for name in ("major", "minor"))
    except (OSError, ValueError):
        return None
    return minor if major == 4 else None


class Libraries:
    """The C libraries of this host.

    Each attribute opens its library when first read; the model has an object of the same shape.

    Attributes:
        ffi: The cffi object that makes and reads C values for all of them.

    Synchronization: may be shared between threads.
    """

    def __init__(self, hypervisor: Path = _HYPERVISOR, dlopen: Callable[[str], Any] = ffi.dlopen) -> None:
        """Nothing is opened yet.

        Args:
            hypervisor: The folder in which the kernel shows the running Xen.
            dlopen: The dynamic loader; raises OSError for what it cannot load.
        """
        self.ffi = ffi
        self._minor = running_minor(hypervisor)
        self._dlopen = dlopen

    @cached_property
    def vendor(self) -> Optional[str]:
        """Whose processor the host has, as CPUID says here; `intel`, `amd` or None."""
        return processor.vendor()

    @cached_property
    def has_xsave(self) -> bool:
        """Whether the host's processor has XSAVE."""
        return processor.has_xsave()

    def nanoseconds(self) -> int:
        """A clock of the host that never goes back, the same in all its processes, and not that which NTP slews."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)

    @cached_property
    def libc(self) -> Any:
        """The C library that this process runs on."""
        return ffi.dlopen(None)

    @cached_property
    def xenctrl(self) -> Any:
        """libxenctrl of the running release.

        Raises:
            LibraryMissingError: It is not installed, or of a release not known here.
        """
        return self._open_of_release("libxenctrl")

    @cached_property
    def xenguest(self) -> Any:
        """libxenguest of the running release, which works on the handles of that release's libxenctrl.

        Raises:
            LibraryMissingError: It is not installed, or of a release not known here.
        """
        return self._open_of_release("libxenguest")

    @cached_property
    def xencall(self) -> Any:
        """libxencall.

        Raises:
            LibraryMissingError: It is not installed.
        """
        return self._open_stable("libxencall")

    @cached_property
    def xenforeignmemory(self) -> Any:
        """libxenforeignmemory.

        Raises:
            LibraryMissingError: It is not installed.
        """
        return self._open_stable("libxenforeignmemory")

    @cached_property
    def xenstore(self) -> Any:
        """libxenstore.

        Raises:
            LibraryMissingError: It is not installed.
        """
        return self._open_stable("libxenstore")

    @cached_property
    def xentoollog(self) -> Any:
        """libxentoollog.

        Raises:
            LibraryMissingError: It is not installed.
        """
        return self._open_stable("libxentoollog")

    def new_log(self) -> CapturedLog:
        """A log to open a library's handle with.

        Raises:
            LibraryMissingError: libxentoollog is not installed.
        """
        return CapturedLog(self)

    def close(self) -> None:
        """Nothing to give back: a library stays open as long as the process."""

    def _open_of_release(self, library: str) -> Any:
        if self._minor is not None and self._minor not in XENCTRL_MINORS:
            raise LibraryMissingError(
                f"this host runs Xen 4.{self._minor}; the {library} of Xen 4.{XENCTRL_MINORS[-1]} to"
                f" 4.{XENCTRL_MINORS[0]} is known here: upgrade xenvcpu", name=library,
            )
        if self._minor is None:
            return self._open(library, _paths(library, XENCTRL_MINORS), "libxenmisc4.N for Xen 4.N")
        return self._open(
            library, _paths(library, [self._minor]), f"libxenmisc4.{self._minor}",
            f" (this host runs Xen 4.{self._minor})",
        )

    def _open_stable(self, library: str) -> Any:
        names = _STABLE[library]
        return self._open(library, names.sonames, names.debian)

    def _open(self, library: str, candidates: Sequence[str], debian: str, reason: str = "") -> Any:
        """Open the first candidate that is there; one that is there and does not load is told apart."""
        broken = ""
        for candidate in candidates:
            try:
                return self._dlopen(candidate)
            except OSError as error:
                broken = broken or _fault(candidate, str(error))
        tried = list(dict.fromkeys(candidate.rpartition("/")[2] for candidate in candidates))
        span = " or ".join(tried) if len(tried) < 3 else f"{tried[0]} to {tried[-1]}"
        raise LibraryMissingError(
            f"{library} is not there: no {span}{reason}{broken}; install {debian} (Debian, Ubuntu) or xen-libs (Fedora,"
            " openSUSE)", name=library,
        )


def _paths(library: str, minors: Iterable[int]) -> List[str]:
    return [folder.format(minor=minor) + f"{library}.so.4.{minor}" for minor in minors for folder in _DIRECTORIES]


def _fault(candidate: str, message: str) -> str:
    """What is wrong with a library that is there; "" for one that is not."""
    detail = message.partition(": ")[2] if message.startswith("cannot load library") else message
    is_absent = detail.startswith(f"{candidate}: cannot open shared object file: No such file")
    return "" if is_absent else f"; {detail}"
