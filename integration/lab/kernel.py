# SPDX-License-Identifier: MIT
"""The Linux kernel of dom0 and guests: uncompressed, with a few modules.

Xen and libxl would unpack a compressed kernel under emulation, which costs
seconds at each start; here it is done once, natively.
"""

import lzma
import shutil
import struct
from pathlib import Path
from typing import Dict, List, Sequence

from integration.lab.commands import run
from integration.lab.cpio import Archive
from integration.lab.errors import LabError
from integration.lab.foreignroot import ForeignRoot
from integration.lab.packages import PackageSource, unpack
from integration.lab.releases import KERNEL_MODULES, KERNEL_PACKAGE, KERNEL_SUITE

_XZ = b"\xfd7zXZ\0"


def extract_vmlinux(image: bytes) -> bytes:
    """Returns the ELF kernel inside an x86 bzImage with an xz payload.

    Raises:
        LabError: The payload is compressed otherwise.
    """
    setup_sectors = image[0x1F1] or 4
    start = (setup_sectors + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[start + offset : start + offset + length]
    if not payload.startswith(_XZ):
        raise LabError(f"kernel payload begins with {payload[:6].hex()}, not xz")
    # the last four bytes are the unpacked size, not part of the xz stream
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload[:-4])


def module_closure(wanted: Sequence[str], dependencies: str) -> List[str]:
    """Returns the files of modules and of all that they depend on.

    Args:
        wanted: Module names.
        dependencies: Content of ``modules.dep``.
    """
    files: Dict[str, List[str]] = {}
    for line in dependencies.splitlines():
        path, _, needs = line.partition(":")
        name = path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")
        files[name] = [path, *needs.split()]
    found: List[str] = []
    for module in wanted:
        for path in files.get(module.replace("-", "_"), []):
            if path not in found:
                found.append(path)
    return found


def build(directory: Path, scratch: Path, userland: ForeignRoot) -> None:
    """Makes ``vmlinux``, ``bzImage`` and ``modules.cpio`` in ``directory``.

    Args:
        directory: Where the results go.
        scratch: Working space; the caller removes it.
        userland: A dom0 root whose depmod is used.
    """
    source = PackageSource(KERNEL_SUITE, scratch / "apt")
    root = scratch / "kernel"
    unpack([source.download_behind(KERNEL_PACKAGE)], root)
    bzimage = next((root / "boot").glob("vmlinuz-*"))
    version = bzimage.name.split("-", 1)[1]
    shutil.copy(bzimage, directory / "bzImage")
    (directory / "vmlinux").write_bytes(extract_vmlinux(bzimage.read_bytes()))

    few = scratch / "modules"
    target = few / "usr/lib/modules" / version
    original = root / "usr/lib/modules" / version
    depmod = scratch / "depmod"  # one program, told by its name what to be
    depmod.symlink_to(userland.path / "usr/bin/kmod")
    userland.run(str(depmod), "-b", str(root / "usr"), version, timeout=300)
    for path in module_closure(KERNEL_MODULES, (original / "modules.dep").read_text()):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original / path, target / path)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(original / name, target / name)
    userland.run(str(depmod), "-b", str(few / "usr"), version, timeout=60)
    with Archive(directory / "modules.cpio") as archive:
        archive.parents("usr/lib/modules/x")
        archive.tree(few / "usr/lib/modules", "usr/lib/modules")
    run(["rm", "-rf", str(root), str(few)], timeout=60)
