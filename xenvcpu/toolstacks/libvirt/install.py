# SPDX-License-Identifier: MIT
"""What is installed of the hook and the service."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from xenvcpu.toolstacks.ownfile import MARK, from_anywhere, package

HOOKS = "/etc/libvirt/hooks"
HOOK = "libxl.d/xenvcpu"
"""libvirt runs what is in libxl.d after hooks/libxl itself (6.5.0 and later)."""

UNITS = "/etc/systemd/system"
UNIT = "xenvcpu-libvirt.service"
_COMMAND = "/usr/bin/xenvcpu"
_DOM0 = "dom0"

_HOOK = """#!/bin/sh
{mark}: libvirt install-hook. Starts the vcpus that a domain's XML declares.
# A shell, so that the other operations cost no Python, and a Python or package that is gone ends no domain.
[ "$2" = started ] && [ "$3" = begin ] || exit 0
[ -x {python} ] && [ -f {package} ] || exit 0
{python} -I -c {program} "$@" >/dev/null {otherwise}
"""
_PROGRAM = """\
import sys
sys.path.append({path!r})
from xenvcpu.toolstacks.libvirt.hook import main
sys.exit(main({host!r}, {strict!r}, sys.argv[1:]))
"""
_OTHERWISE = {False: "\nexit 0", True: "|| exit 1"}


def hook(host: str, *, strict: bool) -> str:
    """The hook's text.

    Args:
        host: The `--host` spec that it works on.
        strict: Whether a failure ends the domain.
    """
    program = _PROGRAM.format(path=package(), host=from_anywhere(host), strict=strict)
    return _HOOK.format(
        mark=MARK, package=shlex.quote(f"{package()}/xenvcpu/__init__.py"), python=shlex.quote(sys.executable),
        program=shlex.quote(program), otherwise=_OTHERWISE[strict],
    )


def this_command(host: str = _DOM0) -> str:
    """How this installation is called for a host, as ExecStart= has it."""
    script = Path(sys.executable).with_name("xenvcpu")
    parts = [str(script)] if script.exists() else [sys.executable, "-m", "xenvcpu"]
    if host != _DOM0:
        parts += ["--host", from_anywhere(host)]
    # systemd reads these of its own accord.
    for special, plain in (("\\", "\\\\"), ("%", "%%"), ("$", "$$"), ('"', '\\"')):
        parts = [part.replace(special, plain) for part in parts]
    return " ".join(f'"{part}"' if " " in part else part for part in parts)


def unit(command: str = _COMMAND) -> str:
    """The unit's text, as it ships or for a command that lies elsewhere."""
    text = Path(__file__).with_name(UNIT).read_text(encoding="ascii").replace(_COMMAND, command)
    is_in_home = command.lstrip('"').startswith(("/home/", "/root/"))
    return text.replace("ProtectHome=yes", "ProtectHome=read-only") if is_in_home else text
