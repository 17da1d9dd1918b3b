# SPDX-License-Identifier: MIT
"""`struct ioreq`: an access of a vcpu to an emulated device, and how far its device model is with it.

Source: xen/include/public/hvm/ioreq.h, the same from 4.7 to 4.22. One page of an ioreq server has
one for each vcpu; a domain has at most as many vcpus as fit (HVM_MAX_VCPUS).
"""

from __future__ import annotations

from typing import Tuple

SIZE = 32
"""sizeof(struct ioreq)."""
SERVERS = 8
"""The most that a domain has (MAX_NR_IOREQ_SERVERS), with ids from 0 on."""

STATE_NONE, STATE_READY, STATE_INPROCESS, STATE_ANSWERED = range(4)
TYPE_PIO, TYPE_COPY = 0, 1

# The bit field before `type`: state:4, data_is_ptr:1, dir:1 (1 is a read).
_BITS, _TYPE = 30, 31
_STATE, _DATA_IS_PTR, _READ = 0xF, 1 << 4, 1 << 5


def encode(state: int, kind: int = TYPE_PIO, *, is_read: bool = True, data_is_ptr: bool = False) -> bytes:
    """An access as Xen writes it down, without its address and data."""
    bits = state | (_DATA_IS_PTR if data_is_ptr else 0) | (_READ if is_read else 0)
    return bytes(_BITS) + bytes((bits, kind))


def waiting(page: bytes) -> Tuple[int, ...]:
    """The vcpus that have to run again to end an access, in order; an answer that they have not taken counts.

    A write to a port, and what the device model reads or writes in the guest's memory itself, is no business of the
    vcpu any more (ioreq_needs_completion).
    """
    found = []
    for vcpuid in range(len(page) // SIZE):
        bits, kind = page[vcpuid * SIZE + _BITS], page[vcpuid * SIZE + _TYPE]
        is_done_for_vcpu = bits & _DATA_IS_PTR or kind == TYPE_PIO and not bits & _READ
        if bits & _STATE != STATE_NONE and not is_done_for_vcpu:
            found.append(vcpuid)
    return tuple(found)
