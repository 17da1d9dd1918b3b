# SPDX-License-Identifier: MIT
"""libvirt's own in-memory driver as a daemon would be: what one process does to a domain, the next one sees.

Everything is done by libvirt itself; between processes the definitions lie in the file that LIBVIRT_STATE names, as a
JSON object of XML by name with whether the domain runs. It cannot create a domain paused, which Xen's driver can: it is
created and suspended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

_STATE = Path(os.environ["LIBVIRT_STATE"])
_CHANGES = {"setMetadata", "createWithFlags", "create", "resume", "suspend", "destroy"}


def _real() -> Any:
    here = Path(__file__).resolve().parent
    path = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("libvirt", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["libvirt"] = module
    spec.loader.exec_module(module)
    return module


class _Domain:
    def __init__(self, raw: Any, connection: _Connection) -> None:
        self._raw, self._connection = raw, connection

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._raw, name)
        if name not in _CHANGES:
            return method

        def call(*arguments: Any) -> Any:
            done = self._paused() if name == "createWithFlags" else method(*arguments)
            self._connection.save()
            return done

        return call

    def _paused(self) -> Any:
        self._raw.create()
        return self._raw.suspend()


class _Connection:
    def __init__(self, raw: Any) -> None:
        self._raw = raw
        for domain in raw.listAllDomains():
            domain.destroy()
            domain.undefine()
        for entry in json.loads(_STATE.read_text()).values():
            domain = raw.defineXML(entry["xml"])
            if entry["runs"]:
                domain.create()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._raw, name)
        if not name.startswith("lookupBy"):
            return method
        return lambda *arguments: _Domain(method(*arguments), self)

    def save(self) -> None:
        """Keep what is."""
        kept = {
            domain.name(): {"xml": domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "runs": bool(domain.isActive())}
            for domain in self._raw.listAllDomains()
        }
        _STATE.write_text(json.dumps(kept))


libvirt = _real()
_open = libvirt.open
libvirt.open = lambda uri=None: _Connection(_open("test:///default"))
