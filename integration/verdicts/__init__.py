# SPDX-License-Identifier: MIT
"""Verdicts of the real Xen: recipes of contexts, what Xen said to each, and the files that keep it.

``tests/verdicts`` replays them on the model. ``python3 -m integration.verdicts record`` takes them anew.
"""
