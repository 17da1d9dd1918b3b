# SPDX-License-Identifier: MIT
"""What a change may do although it is refused otherwise: each exception by its name, and none with another."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, FrozenSet, Iterable, Tuple

from xenvcpu.errors import ContextError

# The rules are imported when a name is looked up or a verdict is there: `--help` needs neither.
if TYPE_CHECKING:
    from xenvcpu.rules.verdict import Finding, Verdict

ALL = "all"
IGNORE_RULES = "--ignore-rules"


class Allowance(str, enum.Enum):
    """One exception, by the name that it has everywhere: `--allow-unbuilt`, `allow_unbuilt` in Ansible."""

    DEVICE_ACCESS_LOSS = "device-access-loss"
    """An access to an emulated device is cut off."""
    UNBUILT = "unbuilt"
    """The domain has no boot vcpu yet."""
    LAST = "last"
    """No vcpu is left running."""
    FIRMWARE = "firmware"
    """The guest begins with hvmloader."""
    UNSEEN = "unseen"
    """What a failed change left was not seen: every vcpu that was online then counts as lost."""

    @property
    def option(self) -> str:
        """The option of a command."""
        return f"--allow-{self.value}"


@dataclass(frozen=True)
class Allowances:
    """The exceptions of one change; `Allowances.of` makes them from names.

    What protects the host is no exception that can be made: a finding that has `kills_host` is never ignored.

    Attributes:
        granted: The exceptions.
        ignored_rules: Names of rules that refuse nothing; `all` is every one.
    """

    granted: FrozenSet[Allowance] = frozenset()
    ignored_rules: FrozenSet[str] = frozenset()

    @classmethod
    def of(cls, *names: str, ignore_rules: Iterable[str] = ()) -> Allowances:
        """The exceptions of these names.

        Args:
            names: `device-access-loss`, `unbuilt`, `last`, `firmware`, `unseen`.
            ignore_rules: Names of rules, or `all`.

        Raises:
            ContextError: There is no such exception, or no such rule.
        """
        ignored = frozenset(ignore_rules)
        require_known(names, [each.value for each in Allowance], "exception")
        if ignored - {ALL}:
            from xenvcpu.rules.catalogue import names as rules

            require_known(sorted(ignored), (*rules(), ALL), "rule")
        return cls(frozenset(map(Allowance, names)), ignored)

    def __contains__(self, allowance: Allowance) -> bool:
        return allowance in self.granted

    def ignores(self, rule: str) -> bool:
        """Whether a rule refuses nothing."""
        return ALL in self.ignored_rules or rule in self.ignored_rules

    def refusing(self, verdict: Verdict) -> Tuple[Finding, ...]:
        """The findings of a verdict that still refuse it."""
        from xenvcpu.rules.verdict import Level

        return tuple(
            found for found in verdict.findings
            if found.level is not Level.WARNING and (found.kills_host or not self.ignores(found.rule))
        )


def require_known(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Each name is one of those that there are.

    Raises:
        ContextError: One is not; it tells the nearest.
    """
    import difflib

    there = tuple(known)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            raise ContextError(
                f"there is no {kind} {name[:40]!r}", rule="allowance", value=name[:40],
                remedy=f"{near[0]!r} is one" if near else f"give one of {', '.join(there)}" if len(there) < 10
                else "xenvcpu-rules(7) lists them",
            )


NONE = Allowances()
EVERY_RULE = Allowances(ignored_rules=frozenset((ALL,)))
