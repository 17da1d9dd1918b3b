# SPDX-License-Identifier: MIT
"""A Xen that panics, to see that a run notices. No suite: pytest finds it by its name only.

``python3 -m integration.lab run --release 4.17 --xen-options nmi=fatal -- integration/panic.py`` must end
with 1, print the panic, and boot once.
"""

from __future__ import annotations

import time

from integration.evidence import xl


def test_xen_panics() -> None:
    """An NMI that nobody asked for, where Xen was told that such a one is fatal."""
    xl.run("debug-keys", "N")
    time.sleep(60)
