# SPDX-License-Identifier: MIT
"""libvirt in the dom0: its daemon, and domains that it makes of the tiny guest."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, List

from integration import limits
from integration.evidence import xl
from integration.evidence.stubs import await_true
from integration.evidence.tinymemory import FoundGuest
from integration.guest import build

URI = "xen:///system"
_LIMIT = 120.0
_START_LIMIT = 120.0

_XML = """
<domain type='xen'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='xenpvh'>xenpvh</type><kernel>{kernel}</kernel></os>
  <on_reboot>restart</on_reboot>
  <on_crash>preserve</on_crash>
</domain>
"""


def why_not() -> str:
    """Returns why there is no libvirt to be had, empty if there is."""
    if shutil.which("libvirtd") is None or shutil.which("virsh") is None:
        return "no libvirtd and virsh in this dom0 (of the lab's images, that of Xen 4.17 has them)"
    try:
        library()
    except ImportError as error:
        return f"no python3-libvirt for this Python: {error}"
    return ""


def library() -> Any:
    """Returns the module libvirt."""
    return importlib.import_module("libvirt")


def virsh(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs ``virsh``, whatever comes of it."""
    argv = ["virsh", "--connect", URI, *map(str, arguments)]
    return limits.run(argv, _LIMIT)


class Daemon:
    """libvirt's daemon, as long as it is not stopped.

    Args:
        log: Where it writes what it has to say.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(["libvirtd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            self.connection = self._connected()
        except BaseException:
            self._process.kill()
            raise

    def _connected(self) -> Any:
        library().registerErrorHandler(lambda context, error: None, None)
        limit = limits.Limit(_START_LIMIT)
        while True:
            try:
                return library().open(URI)
            except library().libvirtError as error:
                if limit.passed or self._process.poll() is not None:
                    raise AssertionError(f"libvirtd: {error}\n{self.log.read_text()}") from None
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends it; domains go on."""
        self.connection.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class VirtGuest:
    """A tiny guest that libvirt has the definition of.

    Args:
        daemon: libvirt's daemon.
        image: Directory of the assembled guest.
        name: Its name.
        vcpus: Number of vcpus.
    """

    def __init__(self, daemon: Daemon, image: Path, name: str, vcpus: int) -> None:
        self.name = name
        self.uuid = str(uuid.uuid4())
        kernel = image / build.KERNEL
        self.raw = daemon.connection.defineXML(_XML.format(name=name, uuid=self.uuid, kernel=kernel, vcpus=vcpus))
        self._seen: List[FoundGuest] = []

    def declare(self, element: str) -> None:
        """Writes an element of ours into its metadata, past xenvcpu, which would refuse it."""
        kind, config = library().VIR_DOMAIN_METADATA_ELEMENT, library().VIR_DOMAIN_AFFECT_CONFIG
        self.raw.setMetadata(kind, element, "xenvcpu", "urn:xenvcpu:declaration:1", config)

    def is_active(self) -> bool:
        """Says whether libvirt has it running or paused."""
        return bool(self.raw.isActive())

    def seen(self) -> FoundGuest:
        """Returns the guest as it runs now, once it beats."""
        self._seen.append(FoundGuest(self.name))
        return self._seen[-1]

    def reboot(self) -> None:
        """Lets its software ask for a reboot, and waits until it is there again."""
        before = self.seen()
        before.reboot()

        def is_back() -> bool:
            try:
                return xl.domid(self.name) != before.domid
            except xl.XlError:
                return False

        await_true(is_back, f"{self.name} did not come back", _START_LIMIT)

    def remove(self) -> None:
        """Ends it, and takes its definition away."""
        for guest in self._seen:
            guest.close()
        if self.is_active():
            self.raw.destroy()
        self.raw.undefine()
