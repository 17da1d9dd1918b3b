# SPDX-License-Identifier: MIT
"""libvirt: the declaration in a domain's XML, the hook and the watcher that act on it."""
