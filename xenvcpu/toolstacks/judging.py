# SPDX-License-Identifier: MIT
"""Judging the vcpus of a domain that does not exist yet, by its configuration and its host."""

from __future__ import annotations

from xenvcpu.allowances import Allowances
from xenvcpu.hostword import judged
from xenvcpu.newvcpu import NewVcpu, prepare
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.rules.features import Features
from xenvcpu.toolstacks.configured import Configured
from xenvcpu.toolstacks.declaration import Declaration


def judge(
    port: Dom0Port, vcpuid: int, declared: Declaration, configured: Configured, features: Features, allow: Allowances
) -> NewVcpu:
    """One vcpu as it will be loaded, once there is a domain.

    Raises:
        RefusedContextError: A rule refuses its context.
        ContextFileError: The context is wrong.
    """
    wanted = declared.template.render(vcpuid)

    def by(known: Features) -> NewVcpu:
        narrow, wide = configured.judged_by(known, port.release)
        prepare(vcpuid, wanted, port.release, narrow).safe_for_host().accepted(allow)
        return prepare(vcpuid, wanted, port.release, wide).safe_for_host().accepted(allow)

    return judged(port, features, by)
