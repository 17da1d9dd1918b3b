# SPDX-License-Identifier: MIT
"""Images: cached parts, put together anew for each job."""

import inspect
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Callable, List, Optional, Sequence

from integration.lab import (
    aptsources,
    cpio,
    dpkgdatabase,
    elf,
    emulator,
    foreignroot,
    job as jobs,
    kernel,
    packages,
    releases,
    userland,
    wheels,
)
from integration.lab.cache import Cache
from integration.lab.foreignroot import ForeignRoot
from integration.lab.qemu import Machine
from integration.lab.releases import Release

#: The checkout that this file stands in.
PROJECT = Path(__file__).resolve().parents[2]


def _sources(*modules: ModuleType) -> List[str]:
    return [inspect.getsource(module) for module in (cpio, foreignroot, *modules)]


@dataclass(frozen=True)
class Parts:
    """The cached parts of an image: directories of artifacts."""

    emulator: Path
    userland: Path
    kernel: Path
    python: Path


class ImageBuilder:
    """Builds what is not in the cache yet.

    Args:
        cache: Where the parts are kept.
        say: Called with one line whenever something is built.
    """

    def __init__(self, cache: Cache, say: Callable[[str], None]) -> None:
        self._cache = cache
        self._say = say

    def parts(self, release: Release, wheel: Optional[Path]) -> Parts:
        """Returns the parts of a release's image, with ``wheel`` installed."""
        user = self._userland(release)
        return Parts(self._emulator(release.emulator), user, self._kernel(user), self._python(release, user, wheel))

    def wheel(self) -> Optional[Path]:
        """Returns the wheel of the checkout, or None while it has no package."""
        if not (PROJECT / "pyproject.toml").exists():
            self._say("the checkout has no package yet: no wheel")
            return None

        def build(directory: Path, scratch: Path) -> None:
            self._say("building the wheel")
            wheels.build_wheel(PROJECT, directory, scratch)

        key = wheels.source_fingerprint(PROJECT)
        return next(self._cache.get("wheel", [key], build).glob("*.whl"))

    def _emulator(self, suite: str) -> Path:
        def build(directory: Path, scratch: Path) -> None:
            self._say(f"fetching QEMU ({suite})")
            emulator.build(directory, scratch, suite)

        inputs = [suite, *releases.EMULATOR_PACKAGES, *aptsources.lines_for(suite), *_sources(emulator, packages)]
        return self._cache.get(f"emulator-{suite}", inputs, build)

    def _userland(self, release: Release) -> Path:
        def build(directory: Path, scratch: Path) -> None:
            self._say(f"fetching Xen {release.xen} and its userland ({release.suite})")
            root = userland.unpack_userland(release, scratch)
            userland.pack_userland(root, directory, release)
            root.path.rename(directory / "root")

        inputs = [release.suite, release.xen, *aptsources.lines_for(release.suite)]
        inputs += [*release.packages, *_sources(userland, packages, dpkgdatabase, elf)]
        return self._cache.get(f"userland-{release.suite}", inputs, build)

    def _kernel(self, user: Path) -> Path:
        def build(directory: Path, scratch: Path) -> None:
            self._say(f"fetching the Linux kernel ({releases.KERNEL_SUITE})")
            kernel.build(directory, scratch, ForeignRoot(user / "root"))

        inputs = [releases.KERNEL_PACKAGE, *releases.KERNEL_MODULES]
        inputs += [*aptsources.lines_for(releases.KERNEL_SUITE), *_sources(kernel, packages)]
        return self._cache.get("kernel", inputs, build)

    def _wheels(self, release: Release) -> List[Path]:
        def build(directory: Path, scratch: Path) -> None:
            self._say(f"fetching Python packages for Python {release.python}")
            wheels.download(directory, release)

        inputs = [release.python, *wheels.requirements(release)]
        directory = self._cache.get(f"wheels-{release.python}", inputs, build)
        return sorted(directory.glob("*.whl"))

    def _python(self, release: Release, user: Path, wheel: Optional[Path]) -> Path:
        everything = self._wheels(release) + ([wheel] if wheel else [])

        def build(directory: Path, scratch: Path) -> None:
            self._say("installing Python packages for the dom0")
            wheels.pack(directory, scratch, release, ForeignRoot(user / "root"), everything)

        inputs = [release.python, *map(wheels.fingerprint, everything)]
        return self._cache.get(f"python-{release.suite}", inputs + _sources(wheels), build)


def compose(
    release: Release, parts: Parts, job: jobs.Job, scratch: Path, debs: Sequence[Path] = ()
) -> Machine:
    """Puts the parts and a job together.

    Args:
        release: Whose parts they are.
        parts: The cached parts.
        job: What the dom0 is to do.
        scratch: Where the image goes.
        debs: The project's Debian packages, not installed.

    Returns:
        The machine that does the job once booted.
    """
    modules = parts.kernel / "modules.cpio"
    python = parts.python / "python.cpio"
    guest = (parts.userland / "guest.cpio", modules, parts.python / "guest-python.cpio")
    pieces = [parts.userland / "dom0.cpio", modules, python]
    vmlinux = parts.kernel / "vmlinux"
    if release.has_linux_guest:
        pieces.append(jobs.pack_linux_guest(vmlinux, guest, PROJECT, scratch))
    pieces.append(jobs.pack(job, PROJECT, scratch, debs))
    initrd = scratch / "initrd.img"
    with initrd.open("wb") as image:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, image, 1 << 20)
    qemu = emulator.command(parts.emulator)
    xen = parts.userland / "xen.elf"
    return Machine(qemu, xen, vmlinux, initrd, is_pvh=release.is_pvh, has_avx=release.has_avx)
