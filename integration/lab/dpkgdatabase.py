# SPDX-License-Identifier: MIT
"""dpkg's own record of an image whose packages were unpacked without it.

With it dpkg in the image judges what is installed there by what really lies there.
"""

from pathlib import Path
from typing import Mapping, Sequence

from integration.lab.commands import run

DATABASE = "var/lib/dpkg"
_LIMIT = 60.0


def _stanza(control: str) -> str:
    """Returns a package's entry in ``status``; the first line of its control file names it."""
    first, rest = control.strip().split("\n", 1)
    return f"{first}\nStatus: install ok installed\n{rest}\n"


def _fields(control: str) -> Mapping[str, str]:
    lines = (line.partition(":") for line in control.splitlines() if not line.startswith(" "))
    return {name: value.strip() for name, _, value in lines}


def _list_name(control: str) -> str:
    """Returns the name of a package's list of files."""
    fields = _fields(control)
    several = fields.get("Multi-Arch") == "same"
    return fields["Package"] + (f":{fields['Architecture']}" if several else "") + ".list"


def _as_listed(member: str) -> str:
    """Returns a member of a package's archive, ``./usr/bin/``, as dpkg lists it: ``/usr/bin``."""
    return member[1:].rstrip("/") or "/."


def write(root: Path, packages: Mapping[Path, Sequence[str]]) -> None:
    """Writes the database of an image.

    Args:
        root: The image.
        packages: The ``.deb`` files unpacked there, with the members of their archives.
    """
    info = root / DATABASE / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "format").write_text("1\n")
    entries = []
    for deb, members in packages.items():
        control = run(["dpkg-deb", "--field", str(deb)], timeout=_LIMIT)
        entries.append(_stanza(control))
        (info / _list_name(control)).write_text("\n".join([*map(_as_listed, members), ""]))
    (root / DATABASE / "status").write_text("\n".join(entries))
