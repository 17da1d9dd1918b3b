# SPDX-License-Identifier: MIT
"""The domain of a sequence of calls on the model, where Xen's is made by the judge."""

from __future__ import annotations

import errno
from typing import Any

from integration.verdicts import traces
from integration.verdicts.traces import Bench
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.errors import HypercallError, NoSuchVcpuError
from xenvcpu.model import build, worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.guest import GuestPort

_GUEST = 1
_INITIALISE, _UP, _DOWN = 0, 1, 2


def bench(release: str) -> Bench:
    """A domain as the lab's, whose boot vcpu makes the guest's calls."""
    host = worlds.new(release, ())
    host.vendor, host.xfeature_mask = "amd", 0
    build.add_domain(host, "traced", traces.VCPUS, domid=_GUEST, features=worlds.LAB_FEATURES)
    inside: Any = ModelLibraries(host, _GUEST)
    outside: Any = ModelLibraries(host)
    guest = GuestPort(inside)

    def vcpu_op(command: int, vcpuid: int, data: bytes) -> int:
        try:
            if command == _INITIALISE:
                guest.initialise(vcpuid, vcpu_hvm_context.decode(data))
            elif command in (_UP, _DOWN):
                (guest.up if command == _UP else guest.down)(vcpuid)
            else:
                return int(guest.is_up(vcpuid))
        except HypercallError as error:
            return -(error.errno or 1)
        except NoSuchVcpuError:
            return -errno.ENOENT
        return 0

    def destroy() -> None:
        del host.domains[_GUEST]

    return Bench(Dom0Port(outside), _GUEST, vcpu_op, destroy)
