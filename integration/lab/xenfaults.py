# SPDX-License-Identifier: MIT
"""What Xen's console holds when Xen itself has failed: a panic, a BUG, an assertion, a trap of its own code.

A warning is none, nor is what a dom0 or a guest prints, for only Xen's own lines begin with "(XEN)". A host that
ends without such a line was lost to the emulator.
"""

import re
from typing import List, Sequence

_FAULT = re.compile(r"\(XEN\) (?:\[[^\]]*\] )*(?:Panic on CPU|Xen BUG|Assertion '|FATAL )")
#: Registers and call trace stand before the words "Panic on CPU", the reason behind them.
_BEFORE, _AFTER = 70, 10


def faults(lines: Sequence[str]) -> List[str]:
    """Returns the lines with which Xen says that it has failed, and after "Panic on CPU" the reason."""
    found: List[str] = []
    for number, line in enumerate(lines):
        if _FAULT.search(line):
            found += lines[number : number + 1 + ("Panic on CPU" in line)]
    return list(dict.fromkeys(found))


def around(lines: Sequence[str]) -> List[str]:
    """Returns these lines with those around them; of more than one fault from before the first to after the last."""
    places = [number for number, line in enumerate(lines) if _FAULT.search(line)]
    return list(lines[max(0, places[0] - _BEFORE) : places[-1] + _AFTER]) if places else []
