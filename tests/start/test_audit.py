# SPDX-License-Identifier: MIT
"""One line in the system's log for each change."""

from __future__ import annotations

import errno
import os
import re
import socket
import uuid
from pathlib import Path
from typing import Any, Callable, List, Sequence, Tuple

import pytest

from tests.start.conftest import context
from xenvcpu import audit
from xenvcpu.errors import HypercallError
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries

HANDLE = uuid.UUID(int=7)
Line = Tuple[str, str, Tuple[int, ...], str]


def logged(work: Callable[[Any, ModelLibraries], object], is_inside: bool) -> List[Line]:
    """The lines of what is done to the domain `web`, from dom0 or from inside."""
    found: List[Line] = []

    def note(verb: str, domain: str, vcpuids: Sequence[int], outcome: str) -> None:
        found.append((verb, domain, tuple(vcpuids), outcome))

    libraries = ModelLibraries(worlds.pvh(), 1 if is_inside else 0)
    with Host("guest" if is_inside else "model", libraries) as host:
        if is_inside:
            work(GuestDomain(host.guest, host.release, note), libraries)
        else:
            host.keeper.audit = note
            work(host.domain("web"), libraries)
    return found


INTERFACES = pytest.mark.parametrize("is_inside", [False, True], ids=["dom0", "guest"])


@INTERFACES
def test_each_change_is_a_line_that_names_the_domain_and_the_vcpus_that_changed(is_inside: bool) -> None:
    def work(domain: Any, libraries: ModelLibraries) -> None:
        domain.start([2, 1], context)
        domain.stop([2])

    started, stopped = logged(work, is_inside)
    web = worlds.pvh().named("web")
    name = "domain=self" if is_inside else f"domid={web.domid} uuid={web.handle}"
    assert started[:3] == ("start", name, (1, 2)) and stopped == ("stop", name, (2,), "outcome=done")


@INTERFACES
def test_the_hash_differs_when_a_register_or_a_vcpu_does(is_inside: bool) -> None:
    def hash_of(*starts: Tuple[int, int]) -> str:
        contexts = {vcpuid: context(0).replace(rip=rip) for vcpuid, rip in starts}
        (line,) = logged(lambda domain, _: domain.start(list(contexts), contexts.__getitem__), is_inside)
        found = re.fullmatch("outcome=done context=sha256:([0-9a-f]{64})", line[3])
        assert found
        return found[1]

    starts = [((1, 0x1000),), ((1, 0x1001),), ((2, 0x1000),), ((1, 0x1000), (2, 0x1001)), ((1, 0x1001), (2, 0x1000))]
    assert len({hash_of(*each) for each in starts}) == len(starts)


def test_the_same_context_has_the_same_hash_at_any_time() -> None:
    def work(domain: Any, libraries: ModelLibraries) -> None:
        for _ in range(2):
            domain.start([1], context)
            domain.stop([1])

    first, _, second, _ = logged(work, False)
    assert first == second


@INTERFACES
def test_a_change_that_failed_is_logged_with_its_error_and_what_it_left(is_inside: bool) -> None:
    function = "xencall3" if is_inside else "xc_domain_hvm_setcontext"

    def work(domain: Any, libraries: ModelLibraries) -> None:
        plan = domain.plan([1], context)
        libraries.fail(function, errno.ENOMEM, 1 if is_inside else 0)
        with pytest.raises(HypercallError) as caught:
            domain.execute(plan)
        said.append(str(caught.value))

    said: List[str] = []
    ((verb, _, vcpuids, outcome),) = logged(work, is_inside)
    assert (verb, vcpuids) == ("start", (1,)) and "ENOMEM" in said[0]
    assert re.fullmatch(r"outcome=failed context=sha256:\w{64} restored=yes error=(.*)", outcome)[1] == repr(said[0])


@pytest.mark.parametrize(("login", "user"), [("1000\n", 1000), (f"{2**32 - 1}\n", os.getuid()), (None, os.getuid())])
def test_the_line_names_who_logged_in_or_who_runs_it(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str | None, user: int
) -> None:
    if login is not None:
        (tmp_path / "loginuid").write_text(login)
    monkeypatch.setattr(audit, "_LOGIN", tmp_path / "loginuid")
    audit.syslog("stop", "domain=self", (1,), "outcome=done", address=listener.getsockname())
    assert listener.recv(4096).decode().endswith(f" user={user}")


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
