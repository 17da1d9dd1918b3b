# SPDX-License-Identifier: MIT
"""The C declarations that xenvcpu calls through, one file per library, and their builder. Not installed."""
