# SPDX-License-Identifier: MIT
"""The suites behind the README's *Promises*: faults and kills at every call, each followed by a look at all of Xen."""
