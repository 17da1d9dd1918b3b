# SPDX-License-Identifier: MIT
"""Whether some Xen would start what is declared: asked when it is written down, before any host is known."""

from __future__ import annotations

from typing import Optional

from xenvcpu import vcpuset
from xenvcpu.allowances import NONE, Allowances
from xenvcpu.errors import RefusedContextError
from xenvcpu.newvcpu import prepare
from xenvcpu.rules.features import UNKNOWN
from xenvcpu.rules.release import KNOWN
from xenvcpu.toolstacks.declaration import Declaration

_ANY = (1,)
"""The vcpus that stand for `all`: how many there are is not known."""


def require_startable(declared: Declaration, allow: Allowances = NONE) -> None:
    """Some release of Xen takes every declared context, and the guest lives.

    Raises:
        RefusedContextError: None does; it tells what the newest finds.
        ContextError: A context cannot be encoded.
    """
    for vcpuid in vcpuset.parse(declared.vcpus) or _ANY:
        wanted = declared.template.render(vcpuid)
        refusal: Optional[RefusedContextError] = None
        for release in reversed(KNOWN):
            try:
                prepare(vcpuid, wanted, release, UNKNOWN).safe_for_host().accepted(allow)
            except RefusedContextError as error:
                refusal = refusal or error
            else:
                break
        else:
            assert refusal is not None
            raise refusal
