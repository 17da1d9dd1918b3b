# SPDX-License-Identifier: MIT
"""Starting a domain with its declared vcpus in place before anything of it runs."""

from __future__ import annotations

from contextlib import suppress
from typing import Callable

from xenvcpu.allowances import NONE, Allowance, Allowances
from xenvcpu.errors import DomainError, HostError, XenVcpuError
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.host import Host
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.toolstacks import firmware
from xenvcpu.toolstacks.applying import Change, apply
from xenvcpu.toolstacks.judging import judge
from xenvcpu.toolstacks.libvirt.connection import Connection, require_local
from xenvcpu.toolstacks.libvirt.domain import LibvirtDomain
from xenvcpu.toolstacks.libvirt.library import library


def start(
    connection: Connection, which: str, open_host: Callable[[], Host], *, features: Features = UNKNOWN,
    allow: Allowances = NONE,
) -> Change:
    """Create a domain paused, load its vcpus, and let it run; if that fails, it is destroyed, and does not run.

    Args:
        connection: libvirt, on this machine.
        which: The domain.
        open_host: Opens the host that it runs on.
        features: What is known of its CPU policy.
        allow: What it may do although it would be refused.

    Raises:
        HostError: The connection leads to another machine.
        DomainError: It runs, has a saved state, declares nothing, or begins with a firmware.
        RefusedContextError: A rule refuses a context, by what is known before it is created.
        XenVcpuError: It cannot be created, or its vcpus cannot be started.
    """
    require_local(connection.uri)
    domain = connection.domain(which)
    if domain.is_active:
        raise DomainError(f"{domain.name} runs already; `xenvcpu start` starts vcpus of a domain that runs")
    declared = domain.declaration(library().VIR_DOMAIN_AFFECT_CONFIG)
    if declared is None:
        raise DomainError(f"{domain.name} declares nothing; see `xenvcpu libvirt set`, or start it with virsh")
    if domain.has_firmware and Allowance.FIRMWARE not in allow:
        raise firmware.refusal(domain.name)
    with open_host() as host:
        if host.is_inside:
            raise HostError("domains are started from dom0")
        configured = domain.configured
        for vcpuid in declared.vcpuids(domain.vcpu_count, configured.kept_offline):
            judge(host.dom0, vcpuid, declared, configured, features, allow)
        domain.create_paused()
        try:
            found = host.domain(str(domain.uuid))
            assert not isinstance(found, GuestDomain)
            change = apply(found, declared, features=features, allow=allow)
            domain.resume()
        except BaseException as error:
            _give_up(domain, error)
            raise
    return change


def _give_up(domain: LibvirtDomain, error: BaseException) -> None:
    """Take it away again, and say so where the error has a place for it."""
    try:
        domain.destroy()
    except XenVcpuError as failure:
        with suppress(AttributeError):
            error.left = (*getattr(error, "left", ()), f"it was created, and is paused: {failure}")  # type: ignore[attr-defined]
