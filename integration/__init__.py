# SPDX-License-Identifier: MIT
"""Suites that run on a real Xen, and the lab that emulates a host for them."""
