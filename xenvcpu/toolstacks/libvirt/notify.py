# SPDX-License-Identifier: MIT
"""Telling systemd how a service is: sd_notify(3), whose protocol is one datagram."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*states: str) -> None:
    """Tell it `READY=1`, `STOPPING=1`, `STATUS=...`; nothing without systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        channel.sendall("\n".join(states).encode())
