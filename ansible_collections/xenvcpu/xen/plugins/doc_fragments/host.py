# SPDX-License-Identifier: MIT
"""Options that both modules have."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the module works, and for how long it waits."""

    DOCUMENTATION = r"""
options:
  host:
    description:
      - Where on the target to work.
      - V(auto) finds out whether the target is dom0 or a guest; V(dom0) and V(guest) insist on it.
      - V(model:NAME) and V(model:FILE) are a model of Xen, which works on any Linux; a world file is made by
        C(xenvcpu model new FILE). With C(@DOMAIN) behind it, the module stands inside that guest.
    type: str
    default: auto
  timeout:
    description: Seconds after which the module gives up, if it has not touched the domain by then.
    type: float
    default: 30
requirements:
  - xenvcpu on the target, as its wheel or its Debian package; the extra C(cli) is not needed
  - in dom0, libxenctrl and libxenstore of the running Xen, and root
"""
