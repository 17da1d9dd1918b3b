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
_VENDORS: Mapping[str, str] = {
    "GenuineIntel": INTEL, "CentaurHauls": INTEL, "Shanghai": INTEL, "AuthenticAMD": AMD, "HygonGenuine": AMD,
}
"""By the vendor string: VIA and Zhaoxin have VT-x, Hygon has SVM."""


def vendor(cpuinfo: Path = _CPUINFO) -> Optional[str]:
    """`intel` or `amd`; None for another, or where it is not to be seen."""
    try:
        with cpuinfo.open() as file:
            found = _VENDOR_ID.search(file.read(_BEGINNING))
    except OSError:
        return None
    return None if found is None else _VENDORS.get(found[1].strip())
