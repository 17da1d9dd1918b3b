# SPDX-License-Identifier: MIT
"""Commands of the xen_version hypercall (xen/include/public/version.h)."""

from __future__ import annotations

XENVER_VERSION = 0
"""The result is major << 16 | minor."""
XENVER_EXTRAVERSION = 1
"""Fills `char[16]`: `.7`, `.4-pre`, `-unstable`."""
EXTRAVERSION_SIZE = 16
