# SPDX-License-Identifier: MIT
"""The tiny guest as an HVM domain: firmware boots it from a disk, and a device model serves it."""

import json
import socket
from pathlib import Path
from typing import Any, Dict, Iterable

from integration.evidence import xl
from integration.evidence.tiny import TinyGuest
from integration.guest import build

_LIMIT = 60.0


class HvmGuest(TinyGuest):
    """An HVM domain with hvmloader, SeaBIOS and QEMU, otherwise as its base."""

    def _boots(self, image: Path) -> Dict[str, xl.ConfigValue]:
        disk = f"format=raw,vdev=hda,access=rw,backendtype=qdisk,target={image / build.DISK}"
        return {"type": "hvm", "disk": [disk], "boot": "c", "vga": "none", "vnc": 0, "usb": 0}

    def ask_device_model(self, command: str) -> Any:
        """Returns what its QEMU answers to a command of QMP without arguments.

        QEMU listens to one at a time on libxl's socket, so the socket is given back at once:
        while it is held, ``xl unpause`` ends well and unpauses nothing.
        """
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(_LIMIT)
            channel.connect(f"/run/xen/qmp-libxl-{self.domid}")
            with channel.makefile("rwb") as lines:
                _await_key(lines, "QMP")
                for name in ("qmp_capabilities", command):
                    lines.write(json.dumps({"execute": name}).encode() + b"\n")
                    lines.flush()
                    answer = _await_key(lines, "return")
        return answer


def _await_key(lines: Iterable[bytes], key: str) -> Any:
    """Returns the value of the first line that has the key; events come in between."""
    for line in lines:
        said = json.loads(line)
        if key in said:
            return said[key]
        assert "error" not in said, said
    raise AssertionError(f"QEMU has closed the channel and said no {key}")
