# SPDX-License-Identifier: MIT
"""What runs in the lab's Linux guest: its first process and its agent."""
