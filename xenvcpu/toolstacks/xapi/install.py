# SPDX-License-Identifier: MIT
"""Installing the plugin: one small file that runs this installation's Python."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from xenvcpu.errors import HostError
from xenvcpu.toolstacks.ownfile import MARK, from_anywhere, package, put

FOLDER = "/etc/xapi.d/plugins"
NAME = "xenvcpu"
MODE = 0o755

_PLUGIN = """#!/bin/sh
{mark}: xapi install. XAPI calls it: xe host-call-plugin host-uuid=... plugin=xenvcpu fn=list
exec {python} -I -c {program} "$@"
"""
_PROGRAM = """\
import sys
sys.path.append({place!r})
from xenvcpu.toolstacks.xapi.plugin import main
sys.exit(main({host!r}, sys.argv[1:]))
"""


def plugin(host: str) -> str:
    """The plugin's text, for a host as `--host` names it."""
    program = _PROGRAM.format(place=package(), host=from_anywhere(host))
    return _PLUGIN.format(mark=MARK, python=shlex.quote(sys.executable), program=shlex.quote(program))


def install(folder: str, host: str) -> tuple[Path, bool]:
    """Install the plugin.

    Returns:
        The file, and whether anything has changed.

    Raises:
        HostError: There is no such folder, a file lies there that is not ours, or it cannot be written.
    """
    if not folder or not Path(folder).is_dir():
        raise HostError(f"{folder or 'nothing'}: no such folder; XAPI (XenServer, XCP-ng) has its plugins there")
    path = Path(folder) / NAME
    return path, put(path, plugin(host), MODE)
