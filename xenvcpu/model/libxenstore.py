# SPDX-License-Identifier: MIT
"""The stand-in for libxenstore: a read-only tree, made from the domains of the host."""

from __future__ import annotations

import errno
from typing import Any, Dict, Iterable

from xenvcpu._xen import ffi
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.standin import StandIn, prototype


_LOCAL = "/local/domain/"


def _domains(host: Hypervisor, path: str) -> Iterable[Domain]:
    """The domains of which something may be at a path, or below it: a host may have a thousand."""
    domid = path[len(_LOCAL) :].partition("/")[0] if path.startswith(_LOCAL) else ""
    return [domain for domain in host.domains.values() if not domid or domid == str(domain.domid)]


def _tree(host: Hypervisor, path: str) -> Dict[str, str]:
    """What a toolstack writes to xenstore for the domains of a host, by path; all that is at `path` or below it."""
    found: Dict[str, str] = {}
    for domain in _domains(host, path):
        local, vm = f"/local/domain/{domain.domid}", f"/vm/{domain.handle}"
        found.update({f"{local}/name": domain.name, f"{local}/domid": str(domain.domid), f"{local}/vm": vm})
        found.update({f"{vm}/name": domain.name, f"{vm}/uuid": str(domain.handle)})
        for vcpu in domain.vcpus:
            word = "offline" if vcpu.vcpuid in domain.offline else "online"
            found[f"{local}/cpu/{vcpu.vcpuid}/availability"] = word
    return found


class LibXenStore(StandIn):
    """libxenstore. What it returns is freed with the model's `libc.free`."""

    name = "libxenstore"

    @prototype("struct xs_handle *(*)(unsigned long)")
    def xs_open(self, flags: int) -> Any:
        return self._open("struct xs_handle *")

    @prototype("void(*)(struct xs_handle *)")
    def xs_close(self, handle: Any) -> None:
        self._close(handle)

    def _path(self, pointer: Any) -> str:
        path = str(ffi.string(pointer), "utf-8", "replace")
        return path if path.startswith("/") else f"/local/domain/{self.libraries.here}/{path}"

    @prototype("void *(*)(struct xs_handle *, xs_transaction_t, const char *, unsigned int *)")
    def xs_read(self, handle: Any, transaction: int, path: Any, length: Any) -> Any:
        self._state(handle)
        wanted = self._path(path)
        nodes = _tree(self.libraries.host, wanted)
        if wanted not in nodes:
            if not any(each.startswith(f"{wanted}/") for each in nodes):
                raise Refused(errno.ENOENT)
        value = nodes.get(wanted, "").encode("utf-8", "surrogateescape")
        if length != ffi.NULL:
            length[0] = len(value)
        return self.libraries.libc.allocate(ffi.new("char[]", value))

    @prototype("char **(*)(struct xs_handle *, xs_transaction_t, const char *, unsigned int *)")
    def xs_directory(self, handle: Any, transaction: int, path: Any, count: Any) -> Any:
        self._state(handle)
        prefix = self._path(path).rstrip("/") + "/"
        nodes = _tree(self.libraries.host, prefix)
        below = [each[len(prefix) :].partition("/")[0] for each in nodes if each.startswith(prefix)]
        if not below:
            raise Refused(errno.ENOENT)
        names = [ffi.new("char[]", name.encode()) for name in dict.fromkeys(below)]
        count[0] = len(names)
        return self.libraries.libc.allocate(ffi.new("char *[]", names), *names)
