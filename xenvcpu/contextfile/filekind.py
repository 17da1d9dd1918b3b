# SPDX-License-Identifier: MIT
"""Files that people take for a context file: how each kind is recognised, what it is, and what takes it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from xenvcpu.contextfile import registerdump

HEAD = 1 << 12
"""The bytes of a file by which a kind of binary file is known."""

_TEXT = 1 << 16
"""The characters of a text that are looked at."""

_ELF, _ELF_TYPE, _CORE = b"\x7fELF", struct.Struct("<H"), 4
_ELF_TYPE_AT = 16
_LINUX_AT, _LINUX = 0x202, b"HdrS"
_NOT_A_CONTEXT = "and no command reads it"
_COMPRESSED = "unpack it first, with `{}`"


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: What it is.
        remedy: Which command takes it, or why none does.
    """

    name: str
    remedy: str

    def __str__(self) -> str:
        return f"this is {self.name}"


def _begins(magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


def _is_elf(head: bytes, *, is_core: bool) -> bool:
    if not head.startswith(_ELF) or len(head) < _ELF_TYPE_AT + _ELF_TYPE.size:
        return False
    return (_ELF_TYPE.unpack_from(head, _ELF_TYPE_AT)[0] == _CORE) is is_core


_SAVED = "`xl restore` starts the domain in it; of one that runs, `xenvcpu show DOMAIN VCPU --json` prints a vcpu"
_RUN = "a guest runs it (`kernel=` in its xl config); a context says where its vcpus begin"
_BINARIES: tuple[tuple[Callable[[bytes], bool], Kind], ...] = (
    (_begins(b"Xen saved domain, xl format\n"), Kind("a domain that `xl save` has saved", _SAVED)),
    (_begins(b"LibxlFmt"), Kind("libxl's migration stream", _SAVED)),
    (_begins(b"\xff" * 8 + b"XENF"), Kind("libxc's migration stream", _SAVED)),
    (_begins(b"LibvirtQemudSave"), Kind("a domain that libvirt has saved for QEMU", "it is not of Xen")),
    (_begins(b"libvirt-xml\n"), Kind("a domain that libvirt has saved", "`virsh restore` starts the domain in it")),
    (
        _begins(struct.pack("<HHIII", 1, 0, 24, 0x54381286, 1)),
        Kind("an HVM save stream", "`xenvcpu decode FILE --as save_stream` prints it as a file"),
    ),
    (
        lambda head: _is_elf(head, is_core=True),
        Kind("a core file, as `xl dump-core` writes one", f"it is for a debugger such as crash, {_NOT_A_CONTEXT}"),
    ),
    (
        lambda head: _is_elf(head, is_core=False),
        Kind("an ELF program, such as vmlinux", _RUN),
    ),
    (
        lambda head: head[_LINUX_AT : _LINUX_AT + len(_LINUX)] == _LINUX,
        Kind("a Linux kernel (bzImage)", _RUN),
    ),
    (_begins(b"\x1f\x8b"), Kind("compressed by gzip", _COMPRESSED.format("gunzip"))),
    (_begins(b"\xfd7zXZ\0"), Kind("compressed by xz", _COMPRESSED.format("unxz"))),
    (_begins(b"\x28\xb5\x2f\xfd"), Kind("compressed by zstd", _COMPRESSED.format("unzstd"))),
    (_begins(b"\x04\x22\x4d\x18"), Kind("compressed by lz4", _COMPRESSED.format("unlz4"))),
    (_begins(b"\x02\x21\x4c\x18"), Kind("compressed by lz4", _COMPRESSED.format("unlz4"))),
    (_begins(b"BZh"), Kind("compressed by bzip2", _COMPRESSED.format("bunzip2"))),
)
_IMPORTED = "`xenvcpu import FILE` makes a context file of it"
_TEXTS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"^[^\n(]{0,80}\(XEN\)", re.MULTILINE), Kind(
        "Xen's console (`xl dmesg`), with no registers in it that are known",
        "`xenvcpu import` takes one with the VMCS or VMCB of a vcpu",
    )),
    (re.compile(r"\A\s*<(\?xml|domain)\b"), Kind(
        "XML of libvirt", "`xenvcpu libvirt get DOMAIN` prints the declaration in a domain's XML",
    )),
    (re.compile(r"^[ \t]{0,8}(kernel|memory|vcpus|disk|vif)[ \t]{0,8}=", re.MULTILINE), Kind(
        "a config of xl", "`xenvcpu xl create CONFIG CONTEXT` takes it before the context",
    )),
)


def of_bytes(data: bytes) -> Kind | None:
    """The kind of a binary file, by its first `HEAD` bytes; None for one that is not known."""
    head = data[:HEAD]
    return next((kind for is_it, kind in _BINARIES if is_it(head)), None)


def of_text(text: str) -> Kind | None:
    """The kind of a text that is no context file; None for one that is not known."""
    head = text[:_TEXT]
    dialect = registerdump.dialect_of(registerdump.plain(text[: registerdump.MAX_SIZE]))
    if dialect is not None:
        return Kind(dialect.name, _IMPORTED)
    return next((kind for pattern, kind in _TEXTS if pattern.search(head)), None)
