# SPDX-License-Identifier: MIT
"""What a domain's XML says of what its vcpus may do.

Source: libvirt's libxl_conf.c. It takes the features of a `<cpu>` only where its mode is host-passthrough.
"""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import FrozenSet, Mapping, Optional

from xenvcpu.abi.cpuid import FEATURES
from xenvcpu.toolstacks.configured import Configured

_OFF = ("disable", "forbid")
_STATES: Mapping[str, bool] = {"on": True, "off": False}
_OTHER_NAMES: Mapping[str, str] = {"fxsr_opt": "ffxsr"}
_MOST_VCPUS = 8192


def configured(root: xml.Element) -> Configured:
    """What the XML of a whole domain says."""
    hap = root.find("features/hap")
    return Configured(None if hap is None else _STATES.get(hap.get("state", "on")), _lacks(root), _online(root))


def _lacks(root: xml.Element) -> FrozenSet[str]:
    cpu = root.find("cpu")
    if cpu is None or cpu.get("mode") != "host-passthrough":
        return frozenset()
    off = (each.get("name", "") for each in cpu.iterfind("feature") if each.get("policy") in _OFF)
    return frozenset(_OTHER_NAMES.get(name, name.replace("-", "_")) for name in off) & frozenset(FEATURES)


def _online(root: xml.Element) -> Optional[FrozenSet[int]]:
    """Of `<vcpu current='2'>4</vcpu>` the first two; `<vcpus>`, where it is there, says of each one."""
    each = root.findall("vcpus/vcpu")
    if each:
        named = (vcpu.get("id", "") for vcpu in each if vcpu.get("enabled") == "yes")
        return frozenset(int(vcpuid) for vcpuid in named if vcpuid.isascii() and vcpuid.isdigit())
    vcpu = root.find("vcpu")
    current = "" if vcpu is None else vcpu.get("current") or (vcpu.text or "").strip()
    is_number = current.isascii() and current.isdigit() and len(current) < len(str(_MOST_VCPUS)) + 1
    return frozenset(range(int(current))) if is_number else None
