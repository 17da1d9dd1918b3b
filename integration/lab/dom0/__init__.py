# SPDX-License-Identifier: MIT
"""What runs in the emulated dom0: its first process, the agent, the reporter."""
