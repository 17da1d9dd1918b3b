# SPDX-License-Identifier: MIT
"""A toolstack's script: every guest that is named gets all its vcpus, with a stack each.

    python bring_up.py GUEST...

A guest that cannot have them is told, and the others get theirs; the exit code says whether all did.
"""

from __future__ import annotations

import sys
from typing import List, Sequence

import xenvcpu
from xenvcpu.errors import DomainError, XenVcpuError

ENTRY = 0x100000
STACK, STACK_SIZE = 0x80000, 0x1000


def context(vcpuid: int) -> xenvcpu.VcpuContext:
    """What each vcpu starts with."""
    return xenvcpu.flat32(eip=ENTRY, esp=STACK + STACK_SIZE * vcpuid)


def bring_up(host: xenvcpu.Host, name: str) -> List[int]:
    """Start the vcpus of a guest that are down.

    Returns:
        Those that were started.
    """
    domain = host.domain(name)
    down = domain.down_vcpus()
    return list(domain.start(down, context).vcpuids) if down else []


def main(names: Sequence[str], host: xenvcpu.Host) -> int:
    """Bring up every guest named; the exit code."""
    code = 0
    for name in names:
        try:
            started = bring_up(host, name)
        except DomainError as error:
            print(f"{name}: not as it should be: {error}", file=sys.stderr)
            code = 1
        except XenVcpuError as error:
            state = {True: "it is as it was", False: "look at it", None: "it was not touched"}[error.restored]
            print(f"{name}: {error} ({state})", file=sys.stderr)
            code = 1
        else:
            print(f"{name}: started {started or 'nothing'}")
    return code


if __name__ == "__main__":
    with xenvcpu.open_host() as this_host:
        sys.exit(main(sys.argv[1:], this_host))
