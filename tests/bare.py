# SPDX-License-Identifier: MIT
"""What must work with nothing but cffi installed; run by itself, without pytest."""

from __future__ import annotations

import sys

import xenvcpu

assert "cffi" not in sys.modules and "_cffi_backend" not in sys.modules, "import xenvcpu does work"

with xenvcpu.open_host("model:pvh") as host:
    domain = host.domains()[0]
    report = domain.start([1, 2], lambda vcpuid: xenvcpu.flat32(eip=0x100000, esp=0x80000 + 0x1000 * vcpuid))
    online = [vcpu.vcpuid for vcpu in domain.vcpus() if vcpu.is_online]

assert report.vcpuids == (1, 2) and online == [0, 1, 2], (report, online)
assert not {"click", "rich", "pytest"} & set(sys.modules)
print("started vcpus", *report.vcpuids, "of a model guest with cffi alone")
