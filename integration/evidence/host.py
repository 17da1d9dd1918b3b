# SPDX-License-Identifier: MIT
"""The dom0 that the suites run in, and the guest images that it has."""

import os
import shutil
from pathlib import Path

#: Directory of the assembled tiny guest; assembled on the spot if not set.
TINY_VARIABLE = "XENVCPU_TINY_GUEST"
#: Directory with ``vmlinux`` and ``initrd`` of the Linux guest.
LINUX_VARIABLE = "XENVCPU_LINUX_GUEST"

_CAPABILITIES = Path("/proc/xen/capabilities")


def why_not_dom0() -> str:
    """Returns why this machine cannot run the suites, empty if it can."""
    try:
        capabilities = _CAPABILITIES.read_text()
    except OSError:
        capabilities = ""
    if "control_d" not in capabilities:
        return "not a Xen dom0 (the lab makes one: python3 -m integration.lab run)"
    if os.geteuid() != 0:
        return "a Xen dom0, but not root"
    if shutil.which("xl") is None:
        return "a Xen dom0, but xl is not on the PATH"
    return ""


def why_no_linux_guest() -> str:
    """Returns why no Linux guest can be booted, empty if one can."""
    directory = os.environ.get(LINUX_VARIABLE)
    if not directory:
        return f"no Linux guest image: {LINUX_VARIABLE} is not set (the lab sets it)"
    missing = [name for name in ("vmlinux", "initrd") if not (Path(directory) / name).is_file()]
    return f"{directory} has no {', '.join(missing)}" if missing else ""
