# SPDX-License-Identifier: MIT
"""A domain by `xl` whose secondary vcpus have their first state before the guest runs its first instruction."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from xenvcpu.allowances import NONE, Allowance, Allowances
from xenvcpu.availability import note
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, HostError, XenVcpuError
from xenvcpu.execute import StartReport
from xenvcpu.host import Host
from xenvcpu.newvcpu import NewVcpu
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.toolstacks import firmware
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.judging import judge
from xenvcpu.toolstacks.xl import Config, Interrupted, Xl, XlError, is_paused, undisturbed


class OnFailure(enum.Enum):
    """What becomes of a domain that was created, and whose vcpus cannot be loaded.

    Destroying it is what `xl create` does with a domain that it cannot finish.
    """

    DESTROY = "destroy"
    PAUSE = "pause"


@dataclass(frozen=True)
class Wish:
    """A domain to be created.

    Attributes:
        path: Its configuration, a file for xl.
        declaration: How its vcpus start.
        options: Further options for `xl create`.
        on_failure: What becomes of it when its vcpus cannot be loaded.
        features: What is known of its CPU policy.
        allow: What it may do although it would be refused.
    """

    path: str
    declaration: Declaration
    options: Tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.DESTROY
    features: Features = UNKNOWN
    allow: Allowances = NONE


@dataclass(frozen=True)
class Created:
    """A domain that was created.

    Attributes:
        domid: Its number.
        name: Its name.
        is_paused: Whether it is left paused, as `-p` among the options asks.
        report: What the load did; None where it has no secondary vcpus.
        notes: What xl printed on stderr.
        offline: The vcpus that xl has offline: left so where no vcpus were named, loaded else.
    """

    domid: int
    name: str
    is_paused: bool
    report: Optional[StartReport]
    notes: str
    offline: Tuple[int, ...] = ()

    @property
    def remarks(self) -> Tuple[str, ...]:
        """What there is to say of vcpus that xl has offline."""
        started = () if self.report is None else self.report.vcpuids
        return note(self.offline, is_left=not set(self.offline) & set(started))

    def as_dict(self) -> Dict[str, Any]:
        """The domain as `--json` prints it."""
        loaded = {"started": []} if self.report is None else self.report.as_dict()
        return {
            **loaded, "domid": self.domid, "name": self.name, "paused": self.is_paused, "offline": list(self.offline),
        }


def foresee(host: Host, xl: Xl, wish: Wish) -> Tuple[Config, Tuple[NewVcpu, ...]]:
    """Judge all that can be judged before a domain is created.

    Returns:
        The configuration, and the vcpus that will be loaded, as far as xl tells how many there are.

    Raises:
        XlError: The configuration is wrong, or the name is taken.
        XlOptionError: An option cannot be passed on.
        DomainError: The domain would be one whose vcpus cannot be loaded.
        RefusedContextError: A rule refuses a context.
        ContextFileError: The domain would have no such vcpu, or a context is wrong.
    """
    is_paused(wish.options)
    if host.is_inside:
        raise HostError("domains are created in dom0, not inside a guest")
    config = xl.config(wish.path, wish.options)
    if config.kind == "pv":
        raise DomainError(f"domain {config.name}: a PV domain; only HVM and PVH domains have this interface")
    if config.has_firmware and Allowance.FIRMWARE not in wish.allow:
        raise firmware.refusal(config.name)
    if xl.domid(config.name) is not None:
        raise XlError(f"a domain {config.name} exists")
    vcpuids = () if config.vcpus is None else wish.declaration.vcpuids(config.vcpus, config.configured.kept_offline)
    return config, tuple(
        judge(host.dom0, vcpuid, wish.declaration, config.configured, wish.features, wish.allow) for vcpuid in vcpuids
    )


def create(host: Host, xl: Xl, wish: Wish) -> Created:
    """Create a domain paused, load its secondary vcpus, and let it run.

    Raises:
        XlError: xl failed; of its `create` nothing is left.
        XenVcpuError: As `foresee`, when nothing was created; or as `Dom0Domain.start`, and then `left` says what has
            become of the domain.
    """
    config, _ = foresee(host, xl, wish)
    is_made = False
    try:
        try:
            notes = xl.create(wish.path, wish.options).err
        except Interrupted as interrupt:
            is_made = interrupt.code == 0
            raise
        is_made = True
        domid = xl.domid(config.name)
        if domid is None:
            raise XlError(f"xl has created no domain {config.name}", notes)
        report, offline = _load(host, domid, wish)
        stays = is_paused(wish.options)
        if not stays:
            xl.unpause(domid)
    except BaseException as error:
        if is_made:
            with undisturbed():
                left = _give_up(xl, config.name, wish.on_failure)
            if isinstance(error, XenVcpuError):
                error.left = (*error.left, left)
        raise
    return Created(domid, config.name, stays, report, notes, offline)


def _load(host: Host, domid: int, wish: Wish) -> Tuple[Optional[StartReport], Tuple[int, ...]]:
    domain = host.domain(domid)
    assert isinstance(domain, Dom0Domain)
    declared = wish.declaration
    vcpuids = declared.vcpuids(domain.info.vcpu_count, domain.kept_offline)
    offline = domain.kept_offline(range(1, domain.info.vcpu_count) if declared.is_of_all else vcpuids)
    if not vcpuids:
        return None, offline
    return domain.start(vcpuids, declared.template.render, features=wish.features, allow=wish.allow), offline


def _give_up(xl: Xl, name: str, on_failure: OnFailure) -> str:
    domid = xl.domid(name)
    if domid is None:
        return f"the new domain {name} is gone"
    who = f"the new domain {name} (domid {domid})"
    if on_failure is OnFailure.PAUSE:
        return f"{who} is left paused: `xl unpause {domid}` lets it run, `xl destroy {domid}` removes it"
    try:
        xl.destroy(domid)
    except XenVcpuError as error:
        return f"{who} could NOT be destroyed: {error}"
    return f"{who} was destroyed"
