# SPDX-License-Identifier: MIT
"""The QEMU process: its command line, and its death with ours.

One emulated processor only: with two, QEMU's SVM loses guests at random. The
rdrand flag spares the dom0 twenty seconds of waiting for entropy. RDTSCP is left
off: QEMU reports an intercepted one as RDTSC, Xen then cannot decode it, and Linux
dies (a domain with tsc_mode="native" has no such intercept). KVM is not used even
where it exists, so that every machine runs the same lab.

With XSAVE, Xen must switch FPU states at once: QEMU does not look at CR0.TS there, and a dom0 that saves its state
lazily would save that of another vcpu. Without XSAVEOPT Xen hangs at boot.
"""

import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, List, Optional, Tuple

from integration import hosttime

_PR_SET_PDEATHSIG = 1
_PROCESSOR = "qemu64,+svm,+npt,+rdrand"
_AVX = ",+ssse3,+sse4.1,+sse4.2,+xsave,+xsaveopt,+avx"


@dataclass(frozen=True)
class Machine:
    """What to boot.

    Attributes:
        emulator: The words that start QEMU.
        xen: The hypervisor, an ELF file.
        kernel: The dom0 kernel, an ELF file.
        initrd: The dom0 image.
        memory: Memory of the whole machine in MiB.
        dom0_memory: Memory of the dom0 in MiB.
        xen_options: Further words on Xen's command line.
        is_pvh: Whether the dom0 is a PVH domain; Xen wants an IOMMU for that.
        has_avx: Whether the processor has XSAVE and AVX.
    """

    emulator: Tuple[str, ...]
    xen: Path
    kernel: Path
    initrd: Path
    memory: int = 4096
    dom0_memory: int = 1280
    xen_options: str = "guest_loglvl=error"
    is_pvh: bool = False
    has_avx: bool = False

    def told_more(self, words: str) -> "Machine":
        """Returns the same with further words on Xen's command line."""
        return replace(self, xen_options=f"{self.xen_options} {words}".rstrip())

    def command(self) -> List[str]:
        """Returns the part of the command line that describes the machine."""
        xen = f"console=com1 com1=115200,8n1 dom0_mem={self.dom0_memory}M"
        xen += f" dom0_max_vcpus=1 noreboot=0 bootscrub=0 {self.xen_options}"
        xen += " dom0=pvh" if self.is_pvh else ""
        xen += " spec-ctrl=eager-fpu" if self.has_avx else ""
        dom0 = f"{self.kernel} console=hvc0 panic=-1 rdinit=/init quiet"
        argv = [*self.emulator, "-accel", "tcg,thread=multi,tb-size=512"]
        argv += ["-cpu", _PROCESSOR + (_AVX if self.has_avx else ""), "-smp", "1", "-m", str(self.memory)]
        argv += ["-nodefaults", "-display", "none", "-no-reboot", "-net", "none"]
        argv += ["-kernel", str(self.xen), "-append", xen]
        argv += ["-initrd", f"{dom0},{self.initrd}"]
        argv += ["-machine", "q35", "-device", "amd-iommu"] if self.is_pvh else []
        return argv

    @property
    def serial_device(self) -> str:
        """The device that carries the channels; behind an IOMMU it must not pass it by."""
        return "virtio-serial-pci" + (",iommu_platform=on,disable-legacy=on" if self.is_pvh else "")


def channel_arguments(machine: Machine, console: Path, results: Path, commands: Path, waited: Path) -> List[str]:
    """Returns the arguments for a batch run: status on stdout, commands by a socket, the rest in files."""
    argv = ["-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
    argv += ["-chardev", "stdio,id=status,signal=off", "-device", machine.serial_device]
    argv += ["-device", "virtserialport,nr=1,chardev=status,name=xenvcpu.status"]
    argv += ["-chardev", f"file,id=results,path={results}"]
    argv += ["-device", "virtserialport,nr=2,chardev=results,name=xenvcpu.results"]
    argv += ["-chardev", f"socket,id=commands,path={commands},server=on,wait=off"]
    argv += ["-device", "virtserialport,nr=3,chardev=commands,name=xenvcpu.commands"]
    argv += ["-object", f"memory-backend-file,id=waited,mem-path={waited},size={hosttime.SIZE},share=on"]
    argv += ["-device", "ivshmem-plain,memdev=waited"]
    return argv


def terminal_arguments() -> List[str]:
    """Returns the arguments that put the console on our own terminal."""
    return ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)


def start(argv: List[str], errors: Optional[IO[bytes]]) -> "subprocess.Popen[bytes]":
    """Starts QEMU with its standard output on a pipe.

    Args:
        argv: The whole command line.
        errors: Where its messages go; None leaves all three streams ours.
    """
    batch = errors is not None
    return subprocess.Popen(
        argv,
        # held open: an end of input would close the status channel on both ways
        stdin=subprocess.PIPE if batch else None,
        stdout=subprocess.PIPE if batch else None,
        stderr=errors,
        preexec_fn=_die_with_parent,
    )
