# SPDX-License-Identifier: MIT
"""Whose processor this machine has, as CPUID says: a PV or PVH dom0 sees the host's own vendor there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Mapping, Optional

from xenvcpu.rules.rule import AMD, INTEL

_CPUINFO = Path("/proc/cpuinfo")
_BEGINNING = 1 << 12
_VENDOR_ID = re.compile(r"^vendor_id\s*:(.*)$", re.MULTILINE)
_FLAGS = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)
_VENDORS: Mapping[str, str] = {
    "GenuineIntel": INTEL, "CentaurHauls": INTEL, "Shanghai": INTEL, "AuthenticAMD": AMD, "HygonGenuine": AMD,
}
"""By the vendor string: VIA and Zhaoxin have VT-x, Hygon has SVM."""


def _beginning(cpuinfo: Path) -> str:
    try:
        with cpuinfo.open() as file:
            return file.read(_BEGINNING)
    except OSError:
        return ""


def vendor(cpuinfo: Path = _CPUINFO) -> Optional[str]:
    """`intel` or `amd`; None for another, or where it is not to be seen."""
    found = _VENDOR_ID.search(_beginning(cpuinfo))
    return None if found is None else _VENDORS.get(found[1].strip())


def has_xsave(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether it has XSAVE, as far as that is to be seen."""
    found = _FLAGS.search(_beginning(cpuinfo))
    return found is not None and "xsave" in found[1].split()
