# SPDX-License-Identifier: MIT
"""The userland of dom0 and Linux guests: Debian packages as initramfs archives."""

import gzip
from pathlib import Path
from typing import Dict, Set, Tuple

from integration.lab import dpkgdatabase
from integration.lab.commands import run
from integration.lab.cpio import Archive, left_out
from integration.lab.elf import closure
from integration.lab.foreignroot import LIBRARIES, ForeignRoot
from integration.lab.packages import PackageSource, unpack
from integration.lab.releases import Release

#: What the packages' own scripts would have made.
_FILES: Dict[str, str] = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/xen/xl.conf": 'autoballoon="off"\nrun_hotplug_scripts=0\n',
    "etc/libvirt/libxl.conf": "autoballoon = 0\n",
    "etc/libvirt/libvirtd.conf": 'unix_sock_group = "root"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n',
}
_LINKS: Dict[str, str] = {"usr/bin/awk": "mawk", "var/run": "/run"}
_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "root", "var/log/libvirt", "var/log/xen", "var/lib/xen")

#: Not in the dom0: the hypervisor, of libvirt all but its driver for Xen, and what QEMU needs for
#: screens, sound and machines that are none of Xen's.
_NOT_IN_DOM0 = (
    "boot",
    f"{LIBRARIES}/libvirt/connection-driver/libvirt_driver_[!l]*",
    f"{LIBRARIES}/libvirt/[ls]*",
    "usr/lib/libvirt",
    "usr/lib/python3/dist-packages/libvirt*_lxc*",
    "usr/lib/python3/dist-packages/libvirt*_qemu*",
    f"{LIBRARIES}/gstreamer*",
    f"{LIBRARIES}/qemu",
    "usr/lib/ipxe",
    "usr/share/augeas",
    "usr/share/iso-codes",
    "usr/share/qemu/[!k]*",
    "usr/share/xml",
    "usr/share/libvirt/schemas",
    "usr/share/libvirt/*.png",
    "usr/share/libvirt/cpu_map/[ap]*",
)
#: The oldest processor model of libvirt, which every other one builds on.
_OLDEST_MODEL = "usr/share/libvirt/cpu_map/x86_486.xml"
_NOT_EMULATED = "    <feature name='vme'/>\n"

#: Libraries that a Linux guest's Python opens by name, besides those that programs need.
_GUEST_LIBRARIES = (
    "libxencall.so.*",
    "libxenctrl.so.*",
    "libxenforeignmemory.so.*",
    "libxenstore.so.*",
    "libxentoollog.so.*",
    "libgcc_s.so.*",
    "libpthread.so.*",
)
_GUEST_CODECS = "big5 cp euc gb hp iso johab koi8 kz1 mac palmos ptcp shift tis".split()

#: Not in a Linux guest: the toolstack, administration, and what only pytest uses.
#: A guest's start is mostly the unpacking of its image.
_NOT_IN_GUEST = (
    "boot",
    "etc/libvirt",
    "etc/xen",
    f"{LIBRARIES}/libvirt",
    "usr/lib/libvirt",
    "usr/lib/python3/dist-packages",
    "usr/lib/xen-*",
    "usr/lib/init",
    "usr/libexec",
    "usr/lib/locale/C.*/LC_COLLATE",
    "usr/share",
    "usr/bin/dpkg*",
    "usr/bin/localedef",
    "usr/bin/lsblk",
    "usr/bin/tar",
    "usr/bin/udevadm",
    "usr/bin/virsh",
    "usr/bin/virt-*",
    "usr/bin/xen[ac-r]*",
    "usr/sbin/[!dilmr]*",
    "usr/sbin/dm*",
    "usr/sbin/libvirtd",
    "usr/sbin/ldconfig",
    "usr/lib/python3*/asyncio",
    "usr/lib/python3*/distutils",
    "usr/lib/python3*/ensurepip",
    "usr/lib/python3*/idlelib",
    "usr/lib/python3*/lib2to3",
    "usr/lib/python3*/pydoc_data",
    "usr/lib/python3*/test",
    "usr/lib/python3*/tkinter",
    "usr/lib/python3*/unittest",
    "usr/lib/python3*/lib-dynload/_codecs_[!_]*",
    "usr/lib/python3*/lib-dynload/_test*",
    "var/lib/dpkg",
    *(f"usr/lib/python3*/encodings/{name}*" for name in _GUEST_CODECS),
    *(f"usr/lib/python3*/encodings/__pycache__/{name}*" for name in _GUEST_CODECS),
)


def _guest_libraries(root: Path) -> Set[str]:
    """Returns the libraries that what is left in a Linux guest needs."""
    directory = root / LIBRARIES
    opened = [path for pattern in _GUEST_LIBRARIES for path in directory.glob(pattern)]
    programs = [
        path
        for pattern in ("usr/bin/*", "usr/sbin/*", "usr/lib/python3*/lib-dynload/*")
        for path in root.glob(pattern)
        if not left_out(str(path.relative_to(root)), _NOT_IN_GUEST)
    ]
    names = closure([*opened, *programs], directory) | {path.name for path in opened}
    # what a name stands for, and the loader, which nobody names
    return names | {(directory / name).resolve().name for name in names} | {"ld-linux-x86-64.so.2"}


def _not_in_guest(root: Path) -> Tuple[str, ...]:
    libraries = _guest_libraries(root)
    others = {path.name for path in (root / LIBRARIES).iterdir()} - libraries
    return (*_NOT_IN_GUEST, *(f"{LIBRARIES}/{name}" for name in sorted(others)))


def _finish(root: ForeignRoot) -> None:
    for name in _DIRECTORIES:
        (root.path / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        (root.path / name).parent.mkdir(parents=True, exist_ok=True)
        (root.path / name).write_text(text)
    for name, target in _LINKS.items():
        link = root.path / name
        if link.is_dir() and not link.is_symlink():
            link.rmdir()
        if not link.is_symlink():
            link.symlink_to(target)
    model = root.path / _OLDEST_MODEL
    if model.exists():  # QEMU emulates no VME, and libvirt's driver fits a model to the processor or ends
        model.write_text(model.read_text().replace(_NOT_EMULATED, ""))
    for library in (root.path / "usr/lib").glob("python3*"):
        root.compile_python(library, root.path)


def unpack_userland(release: Release, scratch: Path) -> ForeignRoot:
    """Fetches a release's packages and unpacks them below ``scratch``."""
    source = PackageSource(release.suite, scratch / "apt")
    root = ForeignRoot(scratch / "root")
    dpkgdatabase.write(root.path, unpack(source.download(release.packages), root.path))
    run(["rm", "-rf", str(scratch / "apt")], timeout=60)
    _finish(root)
    return root


def pack_userland(root: ForeignRoot, directory: Path, release: Release) -> Tuple[Path, ...]:
    """Makes ``xen.elf``, ``dom0.cpio`` and ``guest.cpio`` in ``directory``.

    Returns:
        The files made.
    """
    compressed = next((root.path / "boot").glob(f"xen-{release.xen}*.gz"))
    made = tuple(directory / name for name in ("xen.elf", "dom0.cpio", "guest.cpio"))
    made[0].write_bytes(gzip.decompress(compressed.read_bytes()))
    with Archive(made[1]) as archive:
        archive.tree(root.path, skip=_NOT_IN_DOM0)
    with Archive(made[2]) as archive:
        archive.tree(root.path, skip=_not_in_guest(root.path))
    return made
