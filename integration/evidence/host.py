# SPDX-License-Identifier: MIT
"""The dom0 that the suites run in, and the guest images that it has."""

import glob
import os
import shutil
from pathlib import Path
from typing import Optional

from integration.evidence import xl

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


def is_amd() -> bool:
    """Says whether the processor virtualises as AMD's do."""
    text = Path("/proc/cpuinfo").read_text()
    return "AuthenticAMD" in text or "svm" in text


def device_model() -> Optional[Path]:
    """Returns the QEMU that xl gives to HVM guests, None if there is none."""
    places = ("/usr/libexec/xen-qemu-system-i386", "/usr/lib/xen-4.*/bin/qemu-system-i386", "/usr/bin/qemu-system-i386")
    return next((Path(path) for place in places for path in sorted(glob.glob(place))), None)


def why_no_device_model() -> str:
    """Returns why no HVM guest with firmware can be created, empty if one can."""
    return "" if device_model() else "no device model in this dom0 (the lab's images of Xen 4.17 and 4.20 have QEMU)"


def why_no_shadow_paging() -> str:
    """Returns why no guest with shadow paging can be created, empty if one can."""
    line = next((line for line in xl.run("info").splitlines() if line.startswith("virt_caps")), "virt_caps")
    return "" if "shadow" in line.split() else f"this Xen is built without shadow paging (xl info: {line})"


def why_no_linux_guest() -> str:
    """Returns why no Linux guest can be booted, empty if one can."""
    directory = os.environ.get(LINUX_VARIABLE)
    if not directory:
        return f"no Linux guest image: {LINUX_VARIABLE} is not set (the lab sets it)"
    missing = [name for name in ("vmlinux", "initrd") if not (Path(directory) / name).is_file()]
    return f"{directory} has no {', '.join(missing)} (none where QEMU runs no Linux guest)" if missing else ""
