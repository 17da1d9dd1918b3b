# SPDX-License-Identifier: MIT
"""xenvcpu where domains are run: each toolstack's way to declare how a guest's vcpus start, and to make it so."""
