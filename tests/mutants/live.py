# SPDX-License-Identifier: MIT
"""A mutant in a module that is loaded: the code of its functions is replaced where they are.

What a module does while it is imported cannot be replaced that way, and needs another import.
"""

from __future__ import annotations

import gc
import inspect
import sys
from pathlib import Path
from types import CodeType, FunctionType
from typing import List, Optional, Tuple

Swap = Tuple[FunctionType, CodeType]


def swaps(path: Path, module: str, text: str, changed: str) -> Optional[List[Swap]]:
    """The functions to be changed, each with its new code; None where that is not all."""
    if module not in sys.modules:
        return []  # its first import is yet to come, and finds the changed file
    pairs = _pairs(_compiled(text, path), _compiled(changed, path))
    if pairs is None:
        return None
    functions = [each for each in gc.get_objects() if isinstance(each, FunctionType) and each.__module__ == module]
    found = []
    for old, new in pairs:
        live = [each for each in functions if each.__code__ == old]
        if not live or old.co_freevars != new.co_freevars:
            return None
        found += [(each, new) for each in live]
    return found


def _compiled(text: str, path: Path) -> CodeType:
    return compile(text, str(path), "exec", dont_inherit=True)


def _pairs(old: CodeType, new: CodeType) -> Optional[List[Tuple[CodeType, CodeType]]]:
    """The functions in the body of a module or class that differ; None where the body itself does."""
    if old.co_code != new.co_code or old.co_names != new.co_names or len(old.co_consts) != len(new.co_consts):
        return None
    found: List[Tuple[CodeType, CodeType]] = []
    for one, other in zip(old.co_consts, new.co_consts):
        if not isinstance(one, CodeType):
            if one != other or type(one) is not type(other):
                return None
        elif one != other:
            if not one.co_flags & inspect.CO_OPTIMIZED:
                inside = _pairs(one, other)
            else:  # a comprehension has run
                inside = [(one, other)] if one.co_name.isidentifier() or one.co_name == "<lambda>" else None
            if inside is None:
                return None
            found += inside
    return found
