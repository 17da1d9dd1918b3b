# SPDX-License-Identifier: MIT
"""How a domain's CPU policy is read: by libxenguest, in one call up to 4.15, by way of an object from 4.16 on."""

from __future__ import annotations

import errno
from typing import Any, Callable, Optional

from xenvcpu.abi import cpuid
from xenvcpu.abi.cpuid import Leaves
from xenvcpu.errors import HypercallError, LibraryMissingError, RestrictedError
from xenvcpu.rules.policy import READABLE
from xenvcpu.rules.release import Release, Since

_IS_OBJECT = Since("4.16")
_MOST_LEAVES = 1024
"""Far more than any Xen has (CPUID_MAX_SERIALISED_LEAVES: some 130)."""
_NOT_TO_BE_HAD = frozenset((errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOBUFS, errno.ERANGE))
"""With these Xen, or a library that knows fewer leaves than Xen, does not give the policy out; nothing is wrong."""

Checked = Callable[[str, int, int], object]
"""Raises for a result of -1 of a C function, about a domain."""


def read(libraries: Any, xch: Any, release: Release, domid: int, checked: Checked) -> Optional[Leaves]:
    """The leaves of a domain's CPU policy; None where they are not to be had.

    Raises:
        HypercallError: Xen refused for another reason: there is no such domain.
    """
    if release not in READABLE:
        return None
    ffi = libraries.ffi
    leaves, count = ffi.new("xen_cpuid_leaf_t[]", _MOST_LEAVES), ffi.new("uint32_t *", _MOST_LEAVES)
    try:
        library = libraries.xenguest
        if release in _IS_OBJECT:
            _by_object(library, ffi, xch, domid, leaves, count, checked)
        else:
            none = ffi.new("uint32_t *", 0)
            checked(
                "xc_get_domain_cpu_policy",
                library.xc_get_domain_cpu_policy(xch, domid, count, leaves, none, ffi.NULL), domid,
            )
    except (LibraryMissingError, ffi.error):
        return None
    except (HypercallError, RestrictedError) as error:
        if error.errno in _NOT_TO_BE_HAD:
            return None
        raise
    return cpuid.decode(bytes(ffi.buffer(leaves, min(count[0], _MOST_LEAVES) * cpuid.SIZE)))


def _by_object(library: Any, ffi: Any, xch: Any, domid: int, leaves: Any, count: Any, checked: Checked) -> None:
    policy = library.xc_cpu_policy_init()
    checked("xc_cpu_policy_init", -1 if policy == ffi.NULL else 0, domid)
    try:
        checked("xc_cpu_policy_get_domain", library.xc_cpu_policy_get_domain(xch, domid, policy), domid)
        checked(
            "xc_cpu_policy_serialise",
            library.xc_cpu_policy_serialise(xch, policy, leaves, count, ffi.NULL, ffi.NULL), domid,
        )
    finally:
        library.xc_cpu_policy_destroy(policy)
