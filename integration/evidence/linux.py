# SPDX-License-Identifier: MIT
"""A Linux guest as dom0 handles it: scripts that it runs, and memory for stubs."""

from pathlib import Path
from typing import Tuple

from integration.evidence import xl
from integration.evidence.domain import StubbedDomain
from integration.evidence.guestconsole import GuestConsole
from integration.evidence.stubs import StubArea

_BOOT_LIMIT = 240.0
#: MiB at the end of the guest's memory that its kernel does not use.
_FREE = 32
_TABLES_SIZE = 0x100000


class LinuxGuest(StubbedDomain):
    """A PVH Linux whose kernel started the boot vcpu only.

    Its kernel was told ``maxcpus=1``, so the other vcpus were never started, and
    a ``mem=`` below its memory, so that pages are left for stubs.

    Args:
        image: Directory with ``vmlinux`` and ``initrd``.
        blobs: Directory of the assembled stubs.
        vcpus: Number of vcpus.
        memory: MiB.
        unrestricted: Whether its user space may do VCPUOP hypercalls.
        options: Further settings of the domain's configuration.
    """

    def __init__(
        self,
        image: Path,
        blobs: Path,
        vcpus: int = 4,
        memory: int = 512,
        unrestricted: bool = True,
        **options: xl.ConfigValue,
    ) -> None:
        used = memory - _FREE
        privcmd = " xen_privcmd.unrestricted=1" if unrestricted else ""
        config = {
            "type": "pvh",
            "kernel": str(image / "vmlinux"),
            "ramdisk": str(image / "initrd"),
            "cmdline": f"console=hvc0 quiet rdinit=/init maxcpus=1 mem={used}M{privcmd}",
            "memory": memory,
            "vcpus": vcpus,
            "maxvcpus": vcpus,
            **options,
        }
        free = used << 20
        super().__init__("linux", config, free)
        self.vcpus = vcpus
        self.stubs = StubArea(self.memory, blobs, free + _TABLES_SIZE)
        try:
            self._console = GuestConsole(self.domid)
            self._console.await_line("READY", _BOOT_LIMIT)
        except BaseException:
            self.destroy()
            raise

    def run(self, script: str, timeout: float = 120.0) -> Tuple[int, str]:
        """Runs a shell script in the guest.

        The package under test is installed there: ``xenvcpu`` is on the PATH and
        ``import xenvcpu`` works.

        Args:
            script: Text for ``sh``.
            timeout: Limit in seconds; beyond it the script is killed, status 124.

        Returns:
            Exit status, and standard output and error together.
        """
        return self._console.run(script, timeout)

    def destroy(self) -> None:
        """Destroys the domain; may be called again."""
        console = getattr(self, "_console", None)
        if console is not None:
            console.close()
        super().destroy()
