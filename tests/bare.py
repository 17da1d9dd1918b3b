# SPDX-License-Identifier: MIT
"""What must work with nothing but the wheel and what it requires; run by itself, without pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import Set

CFFI = {"_cffi_backend", "cffi", "pycparser"}


def installed() -> Set[str]:
    """The packages imported so far that do not come with Python, nor are this one."""
    places = ("site-packages", "dist-packages")
    found = {name.partition(".")[0] for name, module in list(sys.modules.items())
             if any(place in (getattr(module, "__file__", None) or "") for place in places)}
    return found - {"xenvcpu"}


before = installed()

import xenvcpu  # noqa: E402

assert installed() == before, f"import xenvcpu imports {installed() - before}"

with xenvcpu.open_host("model:pvh") as host:
    domain = host.domains()[0]
    report = domain.start([1, 2], lambda vcpuid: xenvcpu.flat32(eip=0x100000, esp=0x80000 + 0x1000 * vcpuid))
    online = [vcpu.vcpuid for vcpu in domain.vcpus() if vcpu.is_online]

assert report.vcpuids == (1, 2) and online == [0, 1, 2], (report, online)
assert installed() - before <= CFFI, f"a start imports {installed() - before}"
print("started vcpus", *report.vcpuids, "of a model guest with cffi alone")

listed = subprocess.run(
    [sys.executable, "-m", "xenvcpu", "--host", "model:pvh", "list"], check=True, stdout=subprocess.PIPE, text=True
).stdout
assert "web" in listed, listed
print("listed the model's domains with the command")
