# SPDX-License-Identifier: MIT
"""What VM entry wants of the event that a CPU record has pending.

Xen hands it to the processor as it is, but for software events, INT3 and INTO, which the guest executes again
(hvm_event_needs_reinjection). Processors that have bit 56 of IA32_VMX_BASIC do without the check of the error code.
Source: SDM volume 3C, 26.2.1.3; APM volume 2, 15.20.
"""

from __future__ import annotations

from typing import Optional, Tuple

from xenvcpu.abi.registers import CR0_PE
from xenvcpu.rules.cpu_record import PENDING_ERROR, pending_type
from xenvcpu.rules.rule import AMD, INTEL, Case, Predicate, Rule
from xenvcpu.rules.verdict import Level

_SDM, _APM = "SDM volume 3C, 26.2.1.3", "APM volume 2, 15.20"
_INTERRUPT, _NMI, _EXCEPTION = 0, 2, 3
_VECTOR = 0xFF
_AGAIN = (3, 4)
"""INT3 and INTO."""
_WITH_ERROR_CODE = frozenset((8, *range(10, 15), 17, 21))
_SDM_EXCEPTIONS, _APM_EXCEPTIONS = range(32), frozenset(range(31)) - {2}
_ERROR_CODE_BITS = 15


def _injected(case: Case) -> Optional[int]:
    """The type of the event that Xen injects, or None."""
    kind = pending_type(case)
    is_again = kind == _EXCEPTION and _vector(case) in _AGAIN
    return kind if kind in (_INTERRUPT, _NMI, _EXCEPTION) and not is_again else None


def _vector(case: Case) -> int:
    return case["pending_event"] & _VECTOR


def _has_error_code(case: Case) -> bool:
    return bool(case["pending_event"] & PENDING_ERROR)


def _wants_error_code(case: Case) -> bool:
    is_one = _injected(case) == _EXCEPTION and _vector(case) in _WITH_ERROR_CODE
    return is_one and bool(case["cr0"] & CR0_PE)


def _rule(name: str, field: str, broken: Predicate, needed: str, remedy: str, vendor: str) -> Rule:
    source = _SDM if vendor == INTEL else _APM
    more = ("cr0",) if name == "event-error-code" else ()
    return Rule(name, (field, *more), needed, remedy, broken, source, level=Level.FATAL, vendor=vendor)


RULES: Tuple[Rule, ...] = (
    _rule(
        "nmi-vector", "pending_event", lambda case: _injected(case) == _NMI and _vector(case) != _NMI,
        "an NMI has vector 2", "give 0x80000202, or 0", INTEL,
    ),
    _rule(
        "exception-vector", "pending_event",
        lambda case: _injected(case) == _EXCEPTION and _vector(case) not in _SDM_EXCEPTIONS,
        "the vector of an exception is 31 at most", "give 0, or the event as it was saved", INTEL,
    ),
    _rule(
        "event-error-code", "pending_event", lambda case: _wants_error_code(case) and not _has_error_code(case),
        "with CR0.PE set the exceptions 8, 10 to 14, 17 and 21 have an error code", "set bit 11", INTEL,
    ),
    _rule(
        "event-error-code", "pending_event",
        lambda case: _injected(case) is not None and _has_error_code(case) and not _wants_error_code(case),
        "only the exceptions 8, 10 to 14, 17 and 21 have an error code, and those in protected mode", "clear bit 11",
        INTEL,
    ),
    _rule(
        "error-code-bits", "error_code",
        lambda case: _injected(case) is not None and _has_error_code(case) and bool(
            case["error_code"] >> _ERROR_CODE_BITS),
        "bits 15 and above of an error code must be zero", "clear them", INTEL,
    ),
    _rule(
        "exception-vector-svm", "pending_event",
        lambda case: _injected(case) == _EXCEPTION and _vector(case) not in _APM_EXCEPTIONS,
        "2 and vectors above 30 are no exceptions", "give 0; an NMI is 0x80000202", AMD,
    ),
)
