# SPDX-License-Identifier: MIT
"""The demo on a real Xen: the vcpus of a PVH guest are started, looked at, refused and stopped.

``make lab-demo`` runs it in the dom0 of an emulated host; in any other dom0 it is
``python3 -m integration.demo``, as root, in the checkout.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import Tuple

from integration.evidence import host, tiny
from integration.evidence.command import xenvcpu
from integration.evidence.tiny import TinyGuest
from integration.guest import layout
from integration.limits import run

NAME = "web"
CONTEXT = f"""\
# In the guest's memory at {layout.PARK:#x} stands a loop that sleeps.
preset = "flat32"
eip = {layout.PARK:#x}
eflags = 0x202
esp = "0x80000 + 0x1000 * vcpuid"
edi = "0x500 + vcpuid"
"""
#: What is typed, and the exit code it is to end with.
STEPS: Tuple[Tuple[str, str, int], ...] = (
    ("The Xen that runs here, and what xenvcpu finds of it:", "xenvcpu doctor", 0),
    ("A guest of four vcpus. Only its boot vcpu runs, says xl:", "xl vcpu-list web", 0),
    ("What the others shall start with:", "cat ap.toml", 0),
    ("All of them, in one load:", "xenvcpu start web all ap.toml", 0),
    ("What xl says now:", "xl vcpu-list web", 0),
    ("And xenvcpu:", "xenvcpu list web", 0),
    ("The registers of one:", "xenvcpu show web 3", 0),
    ("Away with it:", "xenvcpu stop web 3", 0),
    ("A mistake is refused by name, before Xen is asked:", "xenvcpu start web 3 ap.toml --set cr4=0x8000", 3),
    ("Xen itself, asked all the same:", "xenvcpu start web 3 ap.toml --set cr4=0x8000 --ignore-rules cr4-bit", 4),
)


def show(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


def main() -> int:
    """Runs every step; returns how many ended otherwise than they should."""
    reason = host.why_not_dom0()
    if reason:
        show(f"this is no dom0: {reason}")
        return 5
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "ap.toml").write_text(CONTEXT)
        guest = TinyGuest(tiny.image(Path(scratch)), vcpus=4, name=NAME)
        try:
            guest.watch_registers()
            wrong = sum(_step(*step, Path(scratch)) for step in STEPS)
            guest.await_beats()
            seen = guest.watch()
        finally:
            guest.destroy()
    show(f"\nAll the while the boot vcpu looked at its own registers: {seen.rounds} times, {seen.errors} changes.")
    return wrong + seen.errors


def _step(words: str, command: str, code: int, folder: Path) -> bool:
    show(f"\n{words}\n\n$ {command}")
    program, *arguments = shlex.split(command)
    if program == "xenvcpu":
        done = xenvcpu(*arguments, folder=folder)
    else:
        done = run([program, *arguments], 120, cwd=folder)
    show((done.stdout + done.stderr).rstrip())
    if done.returncode != code:
        show(f"(exit code {done.returncode}, not {code})")
    return done.returncode != code


if __name__ == "__main__":
    sys.exit(main())
