# SPDX-License-Identifier: MIT
"""With which errno each C function can fail, when Xen, the kernel or the library refuses.

Sources: do_domctl, do_sysctl and do_vcpu_op with what they call (xen/common/domctl.c, sysctl.c, domain.c;
xen/arch/x86/domctl.c, hvm/save.c, hvm/hvm.c), Xen 4.7 to 4.22; privcmd_ioctl_hypercall and privcmd_mmap
(Linux, drivers/xen/privcmd.c); tools/libs/{ctrl,call,store,toollog}.

    EFAULT      the argument cannot be copied in or out: its pages have moved (Linux without /dev/xen/hypercall)
    ENOMEM      Xen's own buffer, or the library's bounce buffer
    EAGAIN      the same with RLIMIT_MEMLOCK: mmap(MAP_LOCKED)
    EINTR EIO   never seen of privcmd; here since nobody promises that they stay away
    ENOSYS      a Xen that was built without the hypercall
    EPERM       XSM, an unprivileged caller, or a restricted privcmd
"""

from __future__ import annotations

import errno
from typing import Dict, Tuple

_PRIVCMD = "EPERM EFAULT ENOMEM EAGAIN EINTR EIO ENOSYS"
_SYSCTL = f"{_PRIVCMD} EACCES"
_DOMCTL = f"{_SYSCTL} ESRCH"
_OPEN = "ENOENT EACCES EPERM ENOMEM EMFILE ENXIO"
_TABLE = {
    "xtl_createlogger_stdiostream": "ENOMEM",
    "xc_interface_open": _OPEN,
    "xc_version": _PRIVCMD,
    "xc_readconsolering": f"{_SYSCTL} EOPNOTSUPP",
    "xc_domain_getinfolist": _SYSCTL,
    # Not ESRCH: that is an answer, there is no such domain.
    "xc_domain_getinfo_single": _SYSCTL,
    "xc_domain_pause": f"{_DOMCTL} EINVAL EOVERFLOW EBUSY",
    # Not EINVAL and ESRCH: these are answers, nobody holds a pause any more, or the domain is gone.
    "xc_domain_unpause": f"{_SYSCTL} EBUSY",
    # ENODATA: a save handler fails (EFAULT up to 4.11); ENOSPC: the buffer is below the worst case.
    "xc_domain_hvm_getcontext": f"{_DOMCTL} EINVAL ENOSPC ENODATA EOPNOTSUPP",
    "xc_domain_hvm_getcontext_partial": f"{_DOMCTL} EINVAL ENOENT ENODATA ENOBUFS",
    # What the handlers of records answer comes through from 4.13.4 on; before, all of it is EPERM.
    "xc_domain_hvm_setcontext": f"{_DOMCTL} EINVAL ENODATA ENODEV ENXIO EOPNOTSUPP EBUSY EEXIST",
    "xc_vcpu_getinfo": f"{_DOMCTL} EINVAL ENOENT",
    # Not ENODATA: that is an answer, the vcpu is not initialised.
    "xc_vcpu_getcontext": f"{_DOMCTL} EINVAL",
    "xc_vcpu_setcontext": f"{_DOMCTL} EINVAL EOPNOTSUPP EBUSY",
    # Not those with which Xen or the library keeps the policy to itself: that is an answer, it is unknown.
    "xc_get_domain_cpu_policy": "EFAULT ENOMEM EAGAIN EINTR EIO ESRCH",
    "xc_cpu_policy_init": "ENOMEM",
    "xc_cpu_policy_get_domain": "EFAULT ENOMEM EAGAIN EINTR EIO ESRCH EINVAL",
    "xc_cpu_policy_serialise": "ENOMEM",
    "xs_open": f"{_OPEN} ECONNREFUSED",
    "xs_read": "ENOENT EACCES EINVAL EIO ENOMEM EAGAIN EBADF",
    "xenforeignmemory_open": _OPEN,
    # Not ENOENT: that is an answer, there is no such server.
    "xenforeignmemory_map_resource": f"{_PRIVCMD} EACCES EINVAL ENODATA ESRCH EOPNOTSUPP",
    "xencall_open": _OPEN,
    "xencall_alloc_buffer": "ENOMEM EAGAIN EINVAL",
    "xencall2": _PRIVCMD,
    "xencall3": f"{_PRIVCMD} EACCES EINVAL ENOENT EEXIST EBUSY ENODATA EOPNOTSUPP",
}
ERRNOS: Dict[str, Tuple[int, ...]] = {
    function: tuple(getattr(errno, name) for name in names.split()) for function, names in _TABLE.items()
}
"""By function. What closes or frees is not here: its result is not looked at."""

EFFECTIVE = frozenset((
    "xc_domain_pause", "xc_domain_unpause", "xc_domain_hvm_setcontext", "xc_vcpu_setcontext", "xencall3",
))
"""The functions that change something."""

READING = frozenset((
    "xc_domain_getinfolist", "xc_domain_getinfo_single", "xc_domain_hvm_getcontext", "xc_readconsolering",
))
"""The functions that have written to the caller's memory when Xen cannot copy the rest of the answer out."""

_INTERRUPTED = (errno.EINTR, errno.EIO)
_COPIED_OUT = frozenset((*EFFECTIVE, *READING)) - {"xc_domain_pause", "xc_domain_unpause"}
LOST: Dict[str, Tuple[int, ...]] = {
    **dict.fromkeys(EFFECTIVE, _INTERRUPTED), **dict.fromkeys(_COPIED_OUT, (*_INTERRUPTED, errno.EFAULT)),
}
"""With what a call can fail that Xen has done: the system call is interrupted, or the answer is not copied out.

XEN_DOMCTL_pausedomain and _unpausedomain copy nothing out, so that EFAULT of these means that they are not done.
"""
