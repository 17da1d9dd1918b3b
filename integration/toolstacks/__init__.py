# SPDX-License-Identifier: MIT
"""xenvcpu as the administrator's own tools meet it: package manager, libvirt, xl, XAPI, Prometheus, pytest."""
