# SPDX-License-Identifier: MIT
"""Ready-made hosts by name, and the way to open one, or one that is kept in a file."""

from __future__ import annotations

import os
from typing import Callable, Mapping, Optional, Sequence, Tuple

from xenvcpu.errors import ContextError
from xenvcpu.model import build
from xenvcpu.model.domain import Kind
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.rules import effect
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release

LAB_FEATURES = Features(cr4_valid=0x7FC, efer_valid=0xD01, maxphysaddr=40)
"""What a guest may set under QEMU's emulated SVM, without XSAVE."""


def _host(release: str, vendor: str = "intel", xfeature_mask: int = 7) -> Hypervisor:
    host = Hypervisor(Release.parse(release), vendor=vendor, xfeature_mask=xfeature_mask)
    build.add_dom0(host)
    return host


def pvh(release: str = "4.17") -> Hypervisor:
    """One PVH domain, `web`, with 4 vcpus of which the boot vcpu runs."""
    host = _host(release)
    build.add_domain(host, "web", 4)
    return host


def hvm(release: str = "4.17") -> Hypervisor:
    """One HVM domain, `db`, with 4 vcpus of which the boot vcpu runs; hvmloader has been there."""
    host = _host(release)
    build.leave_as_hvmloader(host, build.add_domain(host, "db", 4, kind=Kind.HVM))
    return host


def busy(release: str = "4.20") -> Hypervisor:
    """Three domains: `web` runs, `batch` is paused, and in `db` (HVM) hvmloader has initialised all vcpus (4.19+)."""
    host = _host(release)
    build.add_domain(host, "web", 4, online=2)
    build.add_domain(host, "batch", 8, paused=True)
    build.leave_as_hvmloader(host, build.add_domain(host, "db", 4, kind=Kind.HVM))
    return host


def big(release: str = "4.17") -> Hypervisor:
    """One PVH domain, `giant`, with 128 vcpus of which the boot vcpu runs."""
    host = _host(release)
    build.add_domain(host, "giant", 128)
    return host


def lab(release: str = "4.17") -> Hypervisor:
    """The emulated host of the integration suites: SVM without XSAVE, one PVH domain, `nano`, with 4 vcpus."""
    host = _host(release, "amd", xfeature_mask=0)
    domain = build.add_domain(host, "nano", 4, features=LAB_FEATURES)
    domain.vcpus[0].image = effect.FRESH.with_values(rip=0x100000, rflags=0x202)
    return host


def shadow(release: str = "4.14") -> Hypervisor:
    """One PVH domain, `old`, with 4 vcpus and shadow paging, on AMD."""
    host = _host(release, "amd")
    build.add_domain(host, "old", 4, is_hap=False)
    return host


def crashed(release: str = "4.17") -> Hypervisor:
    """One PVH domain, `dead`, with 2 vcpus, that has crashed."""
    host = _host(release)
    host.crash(build.add_domain(host, "dead", 2), 0)
    return host


def restricted(release: str = "4.17") -> Hypervisor:
    """As `pvh`, and the guest's kernel refuses hypercalls from user space (XSA-482)."""
    host = pvh(release)
    host.named("web").is_privcmd_restricted = True
    return host


WORLDS: Mapping[str, Callable[..., Hypervisor]] = {
    world.__name__: world for world in (pvh, hvm, busy, big, lab, shadow, crashed, restricted)
}
NAMES = tuple(WORLDS)
"""The built-in worlds."""


def new(release: str = "4.17", domains: Sequence[Tuple[str, int]] = (("web", 4),)) -> Hypervisor:
    """A host with PVH domains of the given names and numbers of vcpus.

    Raises:
        ContextError: Not a release; a domain without vcpus, or with more than 128; two of one name; not a name.
    """
    host = _host(release)
    for name, vcpus in domains:
        if name in (domain.name for domain in host.domains.values()):
            raise ContextError(
                f"two domains are named {name!r}", field="domain", value=name,
                remedy="xl wants another name for each",
            )
        build.add_domain(host, name, vcpus)
    return host


def builtin(name: str, release: Optional[str] = None) -> Hypervisor:
    """A built-in world, as it is or on another release.

    Raises:
        ContextError: There is none of that name.
    """
    make = WORLDS.get(name)
    if make is None:
        known = ", ".join(NAMES)
        raise ContextError(f"{name!r} is not a built-in world", field="host", value=name, remedy=f"one of {known}")
    return make(*(() if release is None else (release,)))


def _inside(host: Hypervisor, where: Optional[str]) -> int:
    if where is None:
        return 0
    found = [domain for domain in host.domains.values() if where in (domain.name, str(domain.domid))]
    if not found:
        names = ", ".join(domain.name for domain in host.domains.values())
        raise ContextError(f"the model has no domain {where!r}", field="host", value=where, remedy=f"one of {names}")
    return found[0].domid


def open_world(world: str, release: Optional[str] = None, here: Optional[str] = None) -> ModelLibraries:
    """Open a built-in world, which is the caller's own; or a world file, which other processes may have open too.

    Args:
        world: The name of a built-in world, or the path of a file.
        release: The Xen of a built-in world; its own if None.
        here: The domid or the name of the domain in which the caller stands; dom0 if None.

    Raises:
        ContextError: No such world, release or domain.
        WorldFileError: The file is not a world.
        OSError: It cannot be read.
    """
    if world in WORLDS:
        host = builtin(world, release)
        return ModelLibraries(host, _inside(host, here))
    if not os.path.exists(world):
        raise ContextError(
            f"{world!r} is neither a built-in world nor a file", field="host", value=world,
            remedy=f"one of {', '.join(NAMES)}, or a file made with `xenvcpu model new FILE`",
        )
    from xenvcpu.model.openworld import OpenWorld

    opened = OpenWorld(world)
    try:
        inside = _inside(opened.host, here)
    except ContextError:
        opened.close()
        raise
    return ModelLibraries(opened.host, inside, world=opened)


def open_world_at(spec: str) -> ModelLibraries:
    """Open a world as `WORLD` or `WORLD@DOMAIN`; see `xenvcpu.model.open_model`."""
    if os.path.exists(spec):
        return open_world(spec)
    world, _, here = spec.partition("@")
    return open_world(world, here=here or None)
