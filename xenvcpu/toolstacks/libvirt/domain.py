# SPDX-License-Identifier: MIT
"""A domain of libvirt's as we use it, and its declaration."""

from __future__ import annotations

from typing import Any, Optional
from uuid import UUID

from xenvcpu.errors import DomainError, XenVcpuError
from xenvcpu.toolstacks.configured import Configured
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.libvirt import metadata
from xenvcpu.toolstacks.libvirt.library import LibvirtError, library, told
from xenvcpu.toolstacks.libvirt.namespace import NAMESPACE, PREFIX


class LibvirtDomain:
    """A domain of libvirt's, running or only defined.

    Attributes:
        raw: libvirt's own.
        name: Its name.
        uuid: Its UUID; Xen has it as the domain's handle.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.name: str = raw.name()
        self.uuid = UUID(raw.UUIDString())

    @property
    def is_active(self) -> bool:
        """Whether it runs, or is paused."""
        with told(self.name):
            return bool(self.raw.isActive())

    @property
    def vcpu_count(self) -> int:
        """How many vcpus it has at most."""
        with told(self.name):
            flags = library().VIR_DOMAIN_VCPU_MAXIMUM | (0 if self.is_active else library().VIR_DOMAIN_AFFECT_CONFIG)
            return int(self.raw.vcpusFlags(flags))

    @property
    def has_firmware(self) -> bool:
        """Whether hvmloader runs in it before its own software; as it runs, or will at its next start."""
        return metadata.has_firmware(self._xml)

    @property
    def configured(self) -> Configured:
        """What its XML says of what its vcpus may do."""
        return metadata.configured(self._xml)

    @property
    def _xml(self) -> str:
        with told(self.name):
            return str(self.raw.XMLDesc(0 if self.is_active else library().VIR_DOMAIN_XML_INACTIVE))

    def scopes(self, *, live: bool = False, config: bool = False) -> dict[str, int]:
        """The flags of what is asked for: the running domain, its definition, or those of them that there are.

        Raises:
            DomainError: It does not run, or is not defined.
        """
        module = library()
        with told(self.name):
            is_active, is_persistent = bool(self.raw.isActive()), bool(self.raw.isPersistent())
        if live and not is_active:
            raise DomainError(f"{self.name} does not run: there is nothing live to change")
        if config and not is_persistent:
            raise DomainError(f"{self.name} is not defined: it is gone when it ends")
        every = not live and not config
        asked = (
            ("live", live or every and is_active, module.VIR_DOMAIN_AFFECT_LIVE),
            ("config", config or every and is_persistent, module.VIR_DOMAIN_AFFECT_CONFIG),
        )
        return {name: flag for name, is_asked, flag in asked if is_asked}

    def text(self, flag: int) -> Optional[str]:
        """The element of a declaration as it stands, whatever is in it; None if there is none."""
        module = library()
        try:
            with told(self.name):
                return str(self.raw.metadata(module.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, flag))
        except LibvirtError as error:
            if error.code == module.VIR_ERR_NO_DOMAIN_METADATA:
                return None
            raise

    def declaration(self, flag: int) -> Optional[Declaration]:
        """The declaration, or None.

        Raises:
            FormatError: Not XML, or beyond the bounds.
            ContextFileError: What stands there is none.
        """
        found = self.text(flag)
        return None if found is None else metadata.from_xml(found, self.name)

    def declare(self, declared: Optional[Declaration], flags: dict[str, int]) -> tuple[str, ...]:
        """Set the declaration, or remove it with None.

        Returns:
            Where that changed something.

        Raises:
            ContextFileError: The domain has no such vcpu, or an expression fails for one of them.
            LibvirtError: libvirt refused; nothing has changed.
        """
        element = None
        if declared is not None:
            for vcpuid in declared.vcpuids(self.vcpu_count):
                declared.template.render(vcpuid)
            element = metadata.to_xml(declared)
        changed = tuple(name for name, flag in flags.items() if not self._has(declared, flag))
        if changed:
            with told(self.name):
                self.raw.setMetadata(
                    library().VIR_DOMAIN_METADATA_ELEMENT, element, PREFIX, NAMESPACE,
                    sum(flags[name] for name in changed),
                )
        return changed

    def _has(self, declared: Optional[Declaration], flag: int) -> bool:
        if declared is None:
            return self.text(flag) is None
        try:
            return self.declaration(flag) == declared
        except XenVcpuError:
            return False

    def create_paused(self) -> None:
        """Start it, but let nothing of it run.

        Raises:
            DomainError: It runs; or it would go on from a saved state, in which its vcpus have begun.
            LibvirtError: libvirt refused.
        """
        module = library()
        if self.is_active:
            raise DomainError(f"{self.name} runs")
        try:
            with told(self.name):
                is_saved = bool(self.raw.hasManagedSaveImage())
        except LibvirtError as error:
            if error.code != module.VIR_ERR_NO_SUPPORT:
                raise
            is_saved = False
        if is_saved:
            raise DomainError(
                f"{self.name} would go on from its saved state, in which its vcpus have begun; `virsh start` does that,"
                " or `virsh managedsave-remove` it"
            )
        with told(self.name):
            self.raw.createWithFlags(module.VIR_DOMAIN_START_PAUSED)

    def resume(self) -> None:
        """Let it run. Raises LibvirtError."""
        with told(self.name):
            self.raw.resume()

    def destroy(self) -> None:
        """End it at once. Raises LibvirtError."""
        with told(self.name):
            self.raw.destroy()
