# SPDX-License-Identifier: MIT
"""The tiny guest: a PVH kernel of a few hundred bytes, and stubs for its vcpus."""
