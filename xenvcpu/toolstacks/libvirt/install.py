# SPDX-License-Identifier: MIT
"""Installing the hook and the service: whole files, in place of our own only."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from xenvcpu.errors import HostError
from xenvcpu.toolstacks import atomicfile

HOOKS = "/etc/libvirt/hooks"
HOOK = "libxl.d/xenvcpu"
"""libvirt runs what is in libxl.d after hooks/libxl itself (6.5.0 and later)."""

UNITS = "/etc/systemd/system"
UNIT = "xenvcpu-libvirt.service"
MARK = "# Made by xenvcpu"
_COMMAND = "/usr/bin/xenvcpu"

_HOOK = """#!/bin/sh
{mark}: libvirt install-hook. Starts the vcpus that a domain's XML declares.
# A shell, so that the other operations cost no Python, and a Python that is gone ends no domain.
[ "$2" = started ] && [ "$3" = begin ] || exit 0
{python} -I -c {program} "$@" >/dev/null {otherwise}
"""
_PROGRAM = """\
import sys
sys.path.append({path!r})
from xenvcpu.toolstacks.libvirt.hook import main
sys.exit(main({host!r}, {strict!r}, sys.argv[1:]))
"""
_OTHERWISE = {False: "\nexit 0", True: "|| exit 1"}


def _package() -> str:
    return str(Path(__file__).resolve().parents[3])


def hook(host: str, *, strict: bool) -> str:
    """The hook's text.

    Args:
        host: The `--host` spec that it works on.
        strict: Whether a failure ends the domain.
    """
    program = _PROGRAM.format(path=_package(), host=host, strict=strict)
    return _HOOK.format(
        mark=MARK, python=shlex.quote(sys.executable), program=shlex.quote(program), otherwise=_OTHERWISE[strict]
    )


def this_command() -> str:
    """How this installation is called, as ExecStart= has it."""
    script = Path(sys.executable).with_name("xenvcpu")
    parts = [str(script)] if script.exists() else [sys.executable, "-m", "xenvcpu"]
    # systemd reads these of its own accord.
    for special, plain in (("\\", "\\\\"), ("%", "%%"), ("$", "$$"), ('"', '\\"')):
        parts = [part.replace(special, plain) for part in parts]
    return " ".join(f'"{part}"' if " " in part else part for part in parts)


def unit(command: str = _COMMAND) -> str:
    """The unit's text, as it ships or for a command that lies elsewhere."""
    text = Path(__file__).with_name(UNIT).read_text(encoding="ascii").replace(_COMMAND, command)
    is_in_home = command.lstrip('"').startswith(("/home/", "/root/"))
    return text.replace("ProtectHome=yes", "ProtectHome=read-only") if is_in_home else text


def put(path: Path, text: str, mode: int) -> bool:
    """Write a file whole, in place of one that we wrote.

    Returns:
        Whether anything has changed.

    Raises:
        HostError: A file lies there that is not ours, or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            found = "" if path.is_symlink() else path.read_text(encoding="utf-8", errors="replace")
            if MARK not in found:
                raise HostError(f"{path} is not xenvcpu's; it stays as it is")
            if found == text and path.stat().st_mode & 0o777 == mode:
                return False
        atomicfile.write(path, text, mode)
    except OSError as error:
        raise HostError(f"{error.filename or path}: {error.strerror}") from error
    return True
