# SPDX-License-Identifier: MIT
"""The userland of dom0 and Linux guests: Debian packages as initramfs archives."""

import gzip
from pathlib import Path
from typing import Dict, Tuple

from integration.lab.commands import run
from integration.lab.cpio import Archive
from integration.lab.foreignroot import ForeignRoot
from integration.lab.packages import PackageSource, unpack
from integration.lab.releases import Release

#: What the packages' own scripts would have made.
_FILES: Dict[str, str] = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/xen/xl.conf": 'autoballoon="off"\nrun_hotplug_scripts=0\n',
}
_LINKS: Dict[str, str] = {"usr/bin/awk": "mawk"}
_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "root", "var/log/xen", "var/lib/xen")

#: Libraries that nothing left in a Linux guest uses.
_GUEST_LIBRARIES = (
    "apparmor apt-pkg bpf btrfs bz2 cap-ng db-5.3 debconf elf expatw ext2fs"
    " fdisk form fuse gcrypt gmp gnutls gpg-error gssapi_krb5 history hogweed k5crypto keyutils"
    " kdb5 krad krb5 krb5support menu mnl mvec ncurses nettle nsl nss_hesiod p11-kit pam panel pcre"
    " proc2 readline semanage sepol smartcols sqlite3 ssl systemd tasn1 tirpc udev xenguest xenlight"
    " xtables xxhash yajl"
).split()

_GUEST_CODECS = "big5 cp euc gb hp iso johab koi8 kz1 mac palmos ptcp shift tis".split()

#: Not in a Linux guest: the toolstack, administration, and what only pytest uses.
#: A guest's start is mostly the unpacking of its image.
_NOT_IN_GUEST = (
    "boot",
    "etc/xen",
    "usr/lib/xen-*",
    "usr/lib/init",
    "usr/lib/locale/C.*/LC_COLLATE",
    "usr/share",
    "usr/bin/dpkg*",
    "usr/bin/localedef",
    "usr/bin/lsblk",
    "usr/bin/tar",
    "usr/bin/udevadm",
    "usr/bin/xen[ac-r]*",
    "usr/sbin/[!dilmr]*",
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
    "usr/lib/x86_64-linux-gnu/security",
    "usr/lib/x86_64-linux-gnu/xtables",
    *(f"usr/lib/x86_64-linux-gnu/lib{name}[.-]*" for name in _GUEST_LIBRARIES),
    *(f"usr/lib/python3*/encodings/{name}*" for name in _GUEST_CODECS),
    *(f"usr/lib/python3*/encodings/__pycache__/{name}*" for name in _GUEST_CODECS),
)


def _finish(root: ForeignRoot) -> None:
    for name in _DIRECTORIES:
        (root.path / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        (root.path / name).parent.mkdir(parents=True, exist_ok=True)
        (root.path / name).write_text(text)
    for name, target in _LINKS.items():
        if not (root.path / name).is_symlink():
            (root.path / name).symlink_to(target)
    for library in (root.path / "usr/lib").glob("python3*"):
        root.compile_python(library, root.path)


def unpack_userland(release: Release, scratch: Path) -> ForeignRoot:
    """Fetches a release's packages and unpacks them below ``scratch``."""
    source = PackageSource(release.suite, scratch / "apt")
    root = ForeignRoot(scratch / "root")
    unpack(source.download(release.packages), root.path)
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
        archive.tree(root.path, skip=("boot",))
    with Archive(made[2]) as archive:
        archive.tree(root.path, skip=_NOT_IN_GUEST)
    return made
