# SPDX-License-Identifier: MIT
"""What can go wrong in the lab, told apart by type."""

from typing import Mapping, Sequence, Tuple


class LabError(Exception):
    """The lab could not do its work; the base of all its errors."""


class HostCannotError(LabError):
    """This machine lacks something that the lab needs.

    Attributes:
        missing: What is missing, one line each.
        remedy: The command that installs it, or an empty string.
    """

    def __init__(self, missing: Sequence[str], remedy: str = "") -> None:
        self.missing: Tuple[str, ...] = tuple(missing)
        self.remedy = remedy
        text = "; ".join(self.missing)
        super().__init__(f"{text} (to install: {remedy})" if remedy else text)


class CommandError(LabError):
    """A program of the build failed.

    Attributes:
        argv: The command line.
        output: The end of what it printed.
    """

    def __init__(self, argv: Sequence[str], reason: str, output: str) -> None:
        self.argv: Tuple[str, ...] = tuple(argv)
        self.output = output
        super().__init__(f"{' '.join(argv)}: {reason}\n{output}".rstrip())


class XenFailedError(LabError):
    """Xen itself failed, as its console shows: a failure, whatever the tests said, and never retried.

    Attributes:
        faults: The lines with which Xen says so.
        console: These with those around them.
    """

    def __init__(self, faults: Sequence[str], console: Sequence[str]) -> None:
        self.faults: Tuple[str, ...] = tuple(faults)
        self.console: Tuple[str, ...] = tuple(console)
        super().__init__("\n".join(["Xen failed:", *self.faults]))

    def report(self) -> str:
        """Returns the faults and the console lines around them, ready to print."""
        return "\n".join([str(self), "--- Xen's console around these lines", *self.console])


class LostHostError(LabError):
    """The emulated host went away or fell silent, and Xen did not say why; says nothing about the tests.

    Attributes:
        reason: What was noticed.
        console: The last console lines of Xen and the dom0.
        guests: The last console lines of each guest, by name.
    """

    def __init__(
        self, reason: str, console: Sequence[str], guests: Mapping[str, Sequence[str]]
    ) -> None:
        self.reason = reason
        self.console: Tuple[str, ...] = tuple(console)
        self.guests = {name: tuple(lines) for name, lines in guests.items()}
        super().__init__(reason)

    def report(self) -> str:
        """Returns the reason with the console lines, ready to print."""
        parts = [f"host lost: {self.reason}", "--- last lines of Xen and dom0"]
        parts.extend(self.console)
        for name, lines in sorted(self.guests.items()):
            parts.append(f"--- last lines of guest {name}")
            parts.extend(lines)
        return "\n".join(parts)
