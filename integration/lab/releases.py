# SPDX-License-Identifier: MIT
"""The Xen releases that the lab can boot: one table."""

from dataclasses import dataclass
from typing import Dict, Tuple

from integration.lab.errors import LabError

#: One kernel serves every release, as dom0 and as guest.
KERNEL_SUITE = "bookworm"
KERNEL_PACKAGE = "linux-image-amd64"

#: The emulator: the newest suite whose QEMU runs everything but AVX, and the oldest whose QEMU keeps AVX enabled in a
#: guest that has left for Xen and come back. Under that no Linux guest gets beyond its first page fault.
EMULATOR_SUITE = "bookworm"
AVX_EMULATOR_SUITE = "trixie"
EMULATOR_PACKAGES: Tuple[str, ...] = ("qemu-system-x86", "seabios")

#: Modules wanted in a dom0 or a guest; what they depend on comes along.
KERNEL_MODULES: Tuple[str, ...] = (
    "xen-evtchn",
    "xen-gntalloc",
    "xen-gntdev",
    "xen-privcmd",
    "xenfs",
    "virtio_pci",
    "virtio_console",
)

_USERLAND: Tuple[str, ...] = (
    "base-files",
    "coreutils",
    "dash",
    "grep",
    "iproute2",
    "kmod",
    "libc-bin",
    "libgcc-s1",
    "mawk",
    "mount",
    "procps",
    "python3",
    "sed",
    "util-linux",
    "xen-utils-common",
    "xenstore-utils",
)

_LIBVIRT: Tuple[str, ...] = (
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-xen",
    "python3-libvirt",
)

#: QEMU as the device model of HVM guests, and the BIOS that hvmloader puts into them.
_DEVICE_MODEL: Tuple[str, ...] = ("qemu-system-xen", "seabios")

#: What debian/control names, for the suite that installs the Debian packages.
_DEPENDENCIES: Tuple[str, ...] = ("diffutils", "dpkg", "python3-cffi-backend", "python3-click", "python3-rich")


@dataclass(frozen=True)
class Release:
    """One row: a Xen release as a Debian suite carries it, and how its dom0 runs.

    Attributes:
        name: What ``--release`` takes.
        suite: Debian suite of hypervisor, tools and userland; its image is made once, however many rows have it.
        xen: The two-part version in package names and in the libxenctrl SONAME.
        python: Version of the suite's python3.
        has_libvirt: Whether libvirt and its driver for Xen are in the dom0 image.
        has_device_model: Whether QEMU is, for HVM guests with firmware.
        is_pvh: Whether the dom0 is a PVH domain, not a PV one.
        has_avx: Whether the processor has XSAVE and AVX. Up to 4.19 Xen lets a vcpu keep its AVX state where a CPU
            record is loaded without CPU_XSAVE: nothing is shown there.
    """

    name: str
    suite: str
    xen: str
    python: str
    has_libvirt: bool = False
    has_device_model: bool = False
    is_pvh: bool = False
    has_avx: bool = False

    @property
    def emulator(self) -> str:
        """Debian suite of its QEMU."""
        return AVX_EMULATOR_SUITE if self.has_avx else EMULATOR_SUITE

    @property
    def has_linux_guest(self) -> bool:
        """Whether a Linux guest is in the dom0 image: where its QEMU runs one."""
        return self.emulator == EMULATOR_SUITE

    @property
    def hypervisor(self) -> str:
        """Name of the package that holds the hypervisor."""
        return f"xen-hypervisor-{self.xen}-amd64"

    @property
    def packages(self) -> Tuple[str, ...]:
        """Packages of the dom0 image; their dependencies come along."""
        more = (_LIBVIRT if self.has_libvirt else ()) + (_DEVICE_MODEL if self.has_device_model else ())
        return (*_USERLAND, *_DEPENDENCIES, *more, f"xen-utils-{self.xen}", self.hypervisor)

    @property
    def soname(self) -> str:
        """File name of this release's libxenctrl."""
        return f"libxenctrl.so.{self.xen}"


RELEASES: Dict[str, Release] = {
    release.name: release
    for release in (
        Release("4.14", "bullseye", "4.14", "3.9"),
        Release("4.17", "bookworm", "4.17", "3.11", has_libvirt=True, has_device_model=True),
        Release("4.20", "trixie", "4.20", "3.13", has_device_model=True),
        Release("4.20.5", "sid", "4.20", "3.14"),
        Release("4.17-pvh", "bookworm", "4.17", "3.11", has_libvirt=True, has_device_model=True, is_pvh=True),
        Release("4.20-avx", "trixie", "4.20", "3.13", has_device_model=True, has_avx=True),
    )
}

#: What ``shell`` and ``exec`` boot if nothing is said.
DEFAULT_RELEASE = "4.17"

#: The releases that get all suites if nothing is said; the others get the tests marked ``smoke`` if asked for.
WHOLE: Tuple[str, ...] = ("4.17", "4.14", "4.20")


def find_release(name: str) -> Release:
    """Returns the row called ``name``.

    Raises:
        LabError: There is none; the text lists those that exist.
    """
    try:
        return RELEASES[name]
    except KeyError:
        raise LabError(f"no release {name!r}; known: {', '.join(RELEASES)}") from None
