# SPDX-License-Identifier: MIT
"""How the model's hypercalls fail: with Xen's errno, as an exception."""

from __future__ import annotations

import errno


class HostDown(Exception):
    """Xen itself faulted: every domain of the host is gone. No caller can be told; it is no answer of the model's."""


class Refused(Exception):
    """Xen answers a hypercall with an errno.

    Attributes:
        errno: The number, positive.
        log: What the C library logs with it.
    """

    def __init__(self, number: int, log: str = "") -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number
        self.log = log

    @classmethod
    def by_name(cls, name: str) -> Refused:
        """The refusal with the errno of that name, such as `EINVAL`."""
        return cls(getattr(errno, name))
