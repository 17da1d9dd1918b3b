# SPDX-License-Identifier: MIT
"""A host: one Xen, its domains, its clock and its console."""

from __future__ import annotations

import collections
import errno
from typing import Counter, Dict, Iterable, Optional

from xenvcpu.abi import banner
from xenvcpu.model.answer import Refused
from xenvcpu.model.clock import Clock
from xenvcpu.model.console import Console
from xenvcpu.model.domain import Domain, Shutdown
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release, Since

CPUID_1_EAX = {"intel": 0x000306C3, "amd": 0x00800F12}
CHANGESET = 0x7A9E1B2C3D4E
_HOOKS = {"intel": "arch/x86/hvm/vmx/vmx.c", "amd": "arch/x86/hvm/svm/svm.c"}
_NAMES_PATH = Since("4.17")
"""Before, each folder was compiled from inside, and `__FILE__` had no folder."""
_LINE = 1
"""For the line of a source file, which is another in every build."""


class Hypervisor:
    """A host with Xen on it.

    Attributes:
        release: Which Xen.
        vendor: `intel` (VT-x) or `amd` (SVM).
        is_debug_build: Whether it is a debug build, which asserts more.
        xfeature_mask: The XSAVE components of the host; 0 for one without XSAVE.
        features: What the host's own CPU policy allows, by which old releases judge a load; None
            if it is that of each domain.
        domains: By domid.
        clock: The host's TSC.
        console: What Xen printed.
        hypercalls: How many hypercalls were made, by name (`gethvmcontext`, `VCPUOP_up`, ...).
        changes: Counts the hypercalls that may have changed something.
    """

    def __init__(
        self, release: Release, domains: Iterable[Domain] = (), *, vendor: str = "intel", xfeature_mask: int = 7,
        is_debug_build: bool = False, features: Optional[Features] = None, clock: Optional[Clock] = None,
    ) -> None:
        self.release = release
        self.vendor = vendor
        self.is_debug_build = is_debug_build
        self.xfeature_mask = xfeature_mask
        self.features = features
        self.domains: Dict[int, Domain] = {domain.domid: domain for domain in domains}
        self.clock = Clock() if clock is None else clock
        self.console = Console()
        self.console.boot(banner.line(str(release), is_debug_build))
        self.hypercalls: Counter[str] = collections.Counter()
        self.changes = 0

    def begin(self, name: str, *, changes: bool = False) -> None:
        """Count a hypercall, and let time pass."""
        self.hypercalls[name] += 1
        self.changes += changes
        self.clock.advance()

    def domain(self, domid: int) -> Domain:
        """The domain of that number.

        Raises:
            Refused: ESRCH.
        """
        found = self.domains.get(domid)
        if found is None:
            raise Refused(errno.ESRCH)
        return found

    def named(self, name: str) -> Domain:
        """The domain of that name.

        Raises:
            KeyError: There is none.
        """
        for domain in self.domains.values():
            if domain.name == name:
                return domain
        raise KeyError(name)

    @property
    def guests(self) -> list[Domain]:
        """The HVM and PVH domains that are no control domain, in order of domid."""
        ordered = (self.domains[domid] for domid in sorted(self.domains))
        return [domain for domain in ordered if domain.is_hvm and not domain.is_privileged]

    @property
    def _hook(self) -> str:
        """The source file that crashes a domain, as Xen prints it."""
        path = _HOOKS[self.vendor]
        return path if self.release in _NAMES_PATH else path.rsplit("/", 1)[-1]

    def triple_fault(self, domain: Domain, vcpuid: int) -> None:
        """Shut a domain down for a fault of a vcpu that nothing handles (hvm_triple_fault): it asks to be rebooted."""
        if domain.shutdown is None:
            self.console.print(
                f"d{domain.domid}v{vcpuid} Triple fault - invoking HVM shutdown action {Shutdown.reboot.value}"
            )
            self.console.print(f"*** Dumping Dom{domain.domid} vcpu#{vcpuid} state: ***")
        domain.shut_down(Shutdown.reboot)

    def crash(self, domain: Domain, vcpuid: Optional[int] = None, *reasons: str) -> None:
        """Crash a domain (domain_crash), with Xen's lines for it.

        Args:
            domain: Which.
            vcpuid: The vcpu that ran when it happened; None if dom0 caused it from outside.
            reasons: What Xen printed before.
        """
        if domain.shutdown is None:
            for reason in reasons:
                self.console.print(reason)
            self.console.print(f"domain_crash called from {self._hook}:{_LINE}")
            who = f"(vcpu#{vcpuid}) crashed" if vcpuid is not None else "reported crashed by domain 0"
            self.console.print(f"Domain {domain.domid} {who} on cpu#0:")
        domain.shut_down(Shutdown.crash)
