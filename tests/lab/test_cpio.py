# SPDX-License-Identifier: MIT
"""The archives are what the kernel's initramfs documentation describes."""

import os
import stat
from pathlib import Path
from typing import Dict, Tuple

from integration.lab.cpio import Archive


def read_archive(data: bytes) -> Dict[str, Tuple[int, int, bytes]]:
    """Reads newc back: name to (mode, owner, content)."""
    found: Dict[str, Tuple[int, int, bytes]] = {}
    offset = 0
    while True:
        assert data[offset : offset + 6] == b"070701"
        fields = [int(data[offset + 6 + 8 * i : offset + 14 + 8 * i], 16) for i in range(13)]
        name_end = offset + 110 + fields[11]
        name = data[offset + 110 : name_end - 1].decode()
        start = (name_end + 3) & ~3
        content = data[start : start + fields[6]]
        offset = (start + fields[6] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], fields[2], content)


def test_entries_come_back(tmp_path: Path) -> None:
    """Directories, files, links and devices stand in the archive, all owned by root."""
    path = tmp_path / "a.cpio"
    with Archive(path) as archive:
        archive.parents("a/b/c")
        archive.file("a/b/c", b"text", 0o755)
        archive.symlink("a/l", "b/c")
        archive.device("console", 5, 1)
    data = path.read_bytes()
    found = read_archive(data)
    assert list(found) == ["a", "a/b", "a/b/c", "a/l", "console"]
    assert found["a/b/c"] == (stat.S_IFREG | 0o755, 0, b"text")
    assert found["a/l"][2] == b"b/c"
    assert stat.S_ISDIR(found["a"][0]) and stat.S_ISCHR(found["console"][0])
    assert len(data) % 512 == 0


def test_tree_is_copied_but_for_what_is_skipped(tmp_path: Path) -> None:
    """A tree goes in with modes and links; a skipped directory takes its content along."""
    root = tmp_path / "root"
    (root / "keep/deep").mkdir(parents=True)
    (root / "drop/deep").mkdir(parents=True)
    (root / "keep/deep/run").write_bytes(b"x")
    (root / "keep/deep/run").chmod(0o700)
    (root / "drop/deep/file").write_bytes(b"y")
    os.symlink("keep", root / "link")
    path = tmp_path / "a.cpio"
    with Archive(path) as archive:
        archive.tree(root, "top", skip=("top/drop",))
    found = read_archive(path.read_bytes())
    assert list(found) == ["top/keep", "top/keep/deep", "top/keep/deep/run", "top/link"]
    assert stat.S_IMODE(found["top/keep/deep/run"][0]) == 0o700


def test_a_failed_archive_has_no_trailer(tmp_path: Path) -> None:
    """An archive whose making failed cannot be taken for a whole one."""
    path = tmp_path / "a.cpio"
    try:
        with Archive(path) as archive:
            archive.file("a", b"")
            raise RuntimeError
    except RuntimeError:
        pass
    assert b"TRAILER" not in path.read_bytes()
