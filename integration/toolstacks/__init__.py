# SPDX-License-Identifier: MIT
"""Suites of xenvcpu where domains are run: in toolstacks, and as a distribution installs it."""
