# SPDX-License-Identifier: MIT
"""A vcpu's registers as Xen's own tool ``xen-hvmctx`` prints them."""

import re
import subprocess
from typing import Dict

from integration.limits import run

_LIMIT = 120.0
_VALUE = re.compile(r"\b(\w+) +(0x[0-9a-f]+|0+)\b")


class HvmctxError(Exception):
    """``xen-hvmctx`` failed, or shows no such vcpu."""


def parse(text: str) -> Dict[int, Dict[str, int]]:
    """Returns what stands in the CPU records of a dump, by vcpuid and name."""
    found: Dict[int, Dict[str, int]] = {}
    for entry in re.split(r"^ *Entry ", text, flags=re.MULTILINE):
        head = re.match(r"\d+: type (\d+) instance (\d+)", entry)
        if head and head[1] == "2":
            found[int(head[2])] = {name: int(value, 16) for name, value in _VALUE.findall(entry)}
    return found


def registers(domid: int, vcpuid: int) -> Dict[str, int]:
    """Returns the registers of a vcpu that is up.

    Raises:
        HvmctxError: It is not shown.
    """
    try:
        done = run(["xen-hvmctx", str(domid)], _LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HvmctxError(str(error)) from None
    shown = parse(done.stdout)
    if vcpuid not in shown:
        raise HvmctxError(f"xen-hvmctx {domid} shows no vcpu {vcpuid}: {done.stdout[:2000]}{done.stderr}")
    return shown[vcpuid]
