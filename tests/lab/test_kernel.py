# SPDX-License-Identifier: MIT
"""The uncompressed kernel, and the modules with what they need."""

import lzma
import struct

import pytest

from integration.lab import kernel
from integration.lab.errors import LabError

DEPENDENCIES = """\
kernel/drivers/xen/xen-privcmd.ko:
kernel/drivers/xen/xenfs/xenfs.ko: kernel/drivers/xen/xen-privcmd.ko
kernel/drivers/char/virtio_console.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/net/other.ko:
"""


def bzimage(payload: bytes) -> bytes:
    """Builds the parts of a bzImage that matter: two setup sectors, then the payload."""
    head = bytearray(3 * 512)
    head[0x1F1] = 2
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + bytes(16) + payload


def test_vmlinux_comes_out() -> None:
    """The ELF file inside is returned, the size word behind the stream left alone."""
    elf = b"\x7fELF" + bytes(range(256)) * 8
    payload = lzma.compress(elf, format=lzma.FORMAT_XZ) + struct.pack("<I", len(elf))
    assert kernel.extract_vmlinux(bzimage(payload)) == elf


def test_another_compression_is_named() -> None:
    """A payload that is not xz is refused with its first bytes."""
    with pytest.raises(LabError, match="28b52ffd"):
        kernel.extract_vmlinux(bzimage(b"\x28\xb5\x2f\xfd" + bytes(20)))


def test_modules_bring_what_they_need() -> None:
    """A module is found under either spelling, with its dependencies, once."""
    found = kernel.module_closure(["virtio-console", "xenfs", "xen_privcmd", "none"], DEPENDENCIES)
    assert [path.rsplit("/", 1)[1] for path in found] == [
        "virtio_console.ko",
        "virtio_ring.ko",
        "virtio.ko",
        "xenfs.ko",
        "xen-privcmd.ko",
    ]
