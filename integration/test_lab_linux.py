# SPDX-License-Identifier: MIT
"""The Linux guest of the suites, shown to work without the package under test."""

from typing import Callable

import pytest

from integration.evidence.linux import LinuxGuest
from integration.evidence.stubs import KINDS
from integration.promises import IS_BRISK

Factory = Callable[..., LinuxGuest]

#: Asks Xen through /dev/xen/privcmd whether vcpu 1 is up: prints the answer or the errno.
IS_UP = """
python3 - <<'END'
import ctypes
library = ctypes.CDLL("libxencall.so.1", use_errno=True)
library.xencall_open.restype = ctypes.c_void_p
handle = ctypes.c_void_p(library.xencall_open(None, 0))
answer = library.xencall3(handle, 24, *(ctypes.c_uint64(word) for word in (3, 1, 0)))
print(answer if answer >= 0 else -ctypes.get_errno())
END
"""


@pytest.mark.skipif(IS_BRISK, reason="a boot more, and the suite of Linux guests runs scripts as well: with FULL=1")
def test_scripts_run(linux_guest: Factory) -> None:
    """A script's output and exit status come back, whole, and the next one runs as well."""
    guest = linux_guest(vcpus=2)
    assert guest.run("echo hello; exit 3") == (3, "hello\n")
    status, output = guest.run("seq 1 3000")
    assert (status, output.split()) == (0, [str(number) for number in range(1, 3001)])
    text = "x" * 5000
    assert guest.run(f"# {text}\necho error >&2; false") == (1, "error\n")
    assert guest.run("sleep 60; echo late", timeout=2)[0] == 124
    assert guest.run("nproc; cat /sys/hypervisor/type") == (0, "1\nxen\n")
    assert guest.online() == [0]
    assert guest.run(IS_UP) == (0, "0\n")
    entry = guest.place_stub("flat32", 1)
    assert guest.read(entry, 5)[0] == 0xA3
    assert guest.page_tables().long < entry
    assert set(KINDS) > {"flat32", "long64"}
