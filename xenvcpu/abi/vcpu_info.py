# SPDX-License-Identifier: MIT
"""What Xen says about one vcpu: `xc_vcpuinfo_t` and `struct vcpu_runstate_info`.

Source: xen/include/public/domctl.h (`struct xen_domctl_getvcpuinfo`) and public/vcpu.h;
the same in every release from 4.6 to 4.22.
"""

from __future__ import annotations

import enum

from xenvcpu.abi.layout import Field, Layout, sequence


class Runstate(enum.IntEnum):
    """What a vcpu is doing; the names are Xen's behind `RUNSTATE_`."""

    running = 0
    runnable = 1
    blocked = 2
    offline = 3


LAYOUT = Layout(
    "xen_domctl_getvcpuinfo", 24,
    [Field("vcpu", 0, 4), *sequence("online blocked running", 1, 4), Field("cpu_time", 8, 8), Field("cpu", 16, 4)],
)
"""`online` is "not down", also for a vcpu of a paused domain; `cpu_time` is in nanoseconds."""

_TIMES = " ".join(f"time[{state.value}]" for state in Runstate)

RUNSTATE_LAYOUT = Layout(
    "vcpu_runstate_info", 48, [Field("state", 0, 4), *sequence(f"state_entry_time {_TIMES}", 8, 8)]
)
"""As a 64-bit caller gets it. Times in nanoseconds, one for each `Runstate`."""

RUNSTATE_LAYOUT_32 = Layout(
    "vcpu_runstate_info", 44, [Field("state", 0, 4), *sequence(f"state_entry_time {_TIMES}", 8, 4)]
)
"""As a 32-bit caller gets it: i386 aligns 64-bit integers to 4 bytes."""
