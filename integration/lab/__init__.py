# SPDX-License-Identifier: MIT
"""The lab: a real Xen host, emulated by QEMU on an ordinary Linux machine.

``python3 -m integration.lab run`` builds a small dom0 image out of Debian's
packages, boots Xen and the dom0 in QEMU (plain emulation, AMD SVM included),
runs ``pytest integration/`` in that dom0 and brings every result out.

Data flows one way::

    cli -> runner -> host (QEMU process, status channel, meter)
                  -> image -> packages, emulator, userland, kernel, wheels, job -> cache

The host side needs Python 3.9 and the standard library, nothing else.
"""
