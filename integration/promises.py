# SPDX-License-Identifier: MIT
"""What suites count: kept with their tests as properties, added up and shown at the end of a run.

A count has a suite and what was counted: ``("kills", "guests running", 200)``. Counts of the
same name are added up. A name with ``{}`` is a bound, ``"at most {} ms"``: the largest is kept.
"""

import os
from typing import Dict, Iterable, List, Optional, Tuple

Count = Tuple[str, str, int]

#: Set where promises are put to the test only a few times. What the README quotes is counted without it.
BRISK_VARIABLE = "XENVCPU_BRISK"
IS_BRISK = bool(os.environ.get(BRISK_VARIABLE))

_PREFIX = "promise:"
_PLACE = "{}"


def property_name(suite: str, what: str) -> str:
    """Returns the name of the test's property that keeps a count."""
    return f"{_PREFIX}{suite}:{what}"


def from_property(name: str, value: object) -> Optional[Count]:
    """Returns the count in a test's property, None if it is another property."""
    if not name.startswith(_PREFIX) or not isinstance(value, int):
        return None
    suite, _, what = name[len(_PREFIX) :].partition(":")
    return suite, what, value


def lines(counts: Iterable[Count]) -> List[str]:
    """Returns a line for each suite: ``kills: 200 kills, 200 guests running, at most 310 ms``."""
    suites: Dict[str, Dict[str, int]] = {}
    for suite, what, number in counts:
        found = suites.setdefault(suite, {})
        before = found.get(what, 0)
        found[what] = max(before, number) if _PLACE in what else before + number
    return [f"{suite}: {', '.join(map(_words, found.items()))}" for suite, found in suites.items()]


def _words(count: Tuple[str, int]) -> str:
    what, number = count
    return what.replace(_PLACE, str(number)) if _PLACE in what else f"{number} {what}"
