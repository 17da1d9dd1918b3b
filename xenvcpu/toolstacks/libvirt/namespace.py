# SPDX-License-Identifier: MIT
"""How our element of a domain's XML is known. Imports nothing: the hook looks for it in every domain."""

from __future__ import annotations

FAMILY = "urn:xenvcpu:declaration:"
NAMESPACE = f"{FAMILY}1"
PREFIX = "xenvcpu"
ELEMENT = "declaration"

MAX_SIZE = 1 << 22
"""Bytes of a domain's XML: libvirt's protocol carries no longer string (VIR_NET_MESSAGE_STRING_MAX)."""
