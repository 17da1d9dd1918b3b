# SPDX-License-Identifier: MIT
"""One line in the system's log for each change."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path


from xenvcpu import audit

HANDLE = uuid.UUID(int=7)


def test_a_change_is_one_message_that_says_who_did_what_to_whom(listener: socket.socket) -> None:
    outcome = audit.outcome_of("done", digest="ab")
    audit.syslog("start", audit.name_of(5, HANDLE), (1, 2), outcome, address=listener.getsockname())
    text = listener.recv(4096).decode()
    # authpriv (10) and info (6)
    said = f"start domid=5 uuid={HANDLE} vcpus=1,2 outcome=done context=sha256:ab user="
    assert text.startswith(f"<86>xenvcpu[{os.getpid()}]: {said}")


def test_what_others_wrote_stays_on_one_line(listener: socket.socket) -> None:
    said = audit.outcome_of("failed", False, ("a\x1b[2Jb",), "/var/lib/x", error="c\nd\u202ee")
    audit.syslog("start", "domain=self", (1,), said, address=listener.getsockname())
    text = listener.recv(4096).decode()
    assert text.isprintable() and "restored=no" in text and "kept=/var/lib/x" in text


def test_a_failure_that_was_put_back_says_so() -> None:
    assert audit.outcome_of("failed", True, error="x") == "outcome=failed restored=yes error='x'"
    assert audit.outcome_of("failed", error="x") == "outcome=failed restored=unknown error='x'"


def test_without_a_log_nothing_happens(tmp_path: Path) -> None:
    audit.syslog("stop", "domain=self", (1,), "outcome=done", address=str(tmp_path / "none"))
