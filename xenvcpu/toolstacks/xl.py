# SPDX-License-Identifier: MIT
"""The program `xl`: what it says of a configuration, and domains that it creates paused.

Source: tools/xl (tools/libxl up to 4.8), main_create and create_domain, 4.7 to 4.22.
"""

from __future__ import annotations

import getopt
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Sequence, Union

from xenvcpu.errors import HostError, XenVcpuError
from xenvcpu.toolstacks import xlconfig
from xenvcpu.toolstacks.configured import NOTHING, Configured

PROGRAM = "xl"
PAUSED = "-p"
_SHORT = "AFVcdef:hinpq"
_LONG = ("defconfig=", "dryrun", "help", "ignore-global-affinity-masks", "quiet", "vncviewer", "vncviewer-autopass")
_REFUSED: Mapping[str, str] = {
    "-F": "with it xl does not return while the domain lives",
    "-c": "with it xl does not return while the console is open; use `xl console` afterwards",
    "-n": "nothing would be created; use --dry-run", "--dryrun": "nothing would be created; use --dry-run",
    "-f": "CONFIG is the file", "--defconfig": "CONFIG is the file",
    "-h": "see `xl help create`", "--help": "see `xl help create`",
}
_SXP_NAME = re.compile(r"^\t\(name (.*)\)$", re.MULTILINE)
_SXP_HVM = re.compile(r"^\t\(hvm 1\)$", re.MULTILINE)
_SXP_PV = re.compile(r"^\t\t\(linux ", re.MULTILINE)


class XlError(XenVcpuError):
    """`xl` failed.

    Attributes:
        log: What it printed on stderr.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__("\n  ".join((message, *log.splitlines())))
        self.log = log


class XlOptionError(XenVcpuError, ValueError):
    """An option for `xl create` cannot be passed on."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while `xl` ran; it was waited for.

    Attributes:
        code: Its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C does nothing meanwhile: one has been seen, and what it asked for is being done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # it reaches the main thread alone
        return
    # Not SIG_IGN, which a program that is started meanwhile would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


class Done(NamedTuple):
    """How a call of `xl` ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Config:
    """A domain's configuration as `xl` understands it.

    Attributes:
        name: The domain's name.
        kind: `pvh`, `hvm` or `pv`; empty where xl does not tell.
        vcpus: How many vcpus it will have; None where xl does not tell.
        configured: What it says of what its vcpus may do, and of which are to be online.
        has_firmware: Whether hvmloader runs in it before its own software, as far as xl tells.
    """

    name: str
    kind: str = ""
    vcpus: Optional[int] = None
    has_firmware: bool = False
    configured: Configured = NOTHING


def is_paused(options: Sequence[str]) -> bool:
    """Whether options for `xl create` ask that the domain stays paused.

    Raises:
        XlOptionError: One that we cannot pass on is among them.
    """
    try:
        flags, words = getopt.gnu_getopt(list(options), _SHORT, list(_LONG))
    except getopt.GetoptError:
        # One that we do not know: xl judges.
        return PAUSED in options
    for flag, _ in flags:
        if flag in _REFUSED:
            raise XlOptionError(f"{flag} cannot be passed on to xl create: {_REFUSED[flag]}")
    for word in words:
        if "=" not in word:
            raise XlOptionError(f"{word!r} is neither an option of xl create nor KEY=VALUE")
    return any(flag == PAUSED for flag, _ in flags)


class Xl:
    """The program, run without a shell; each method is one call of it.

    An interrupt (Ctrl-C) does not reach it, and is raised when the call has ended: a domain is not left half made.
    """

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program

    def call(self, *arguments: str) -> Done:
        """Run `xl` with these arguments.

        Raises:
            HostError: There is no such program.
            Interrupted: The user did not want to wait.
        """
        # Not pipes: the process that xl leaves behind to watch a domain would hold them open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    (self._program, *arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise HostError(f"{self._program}: {error.strerror}; it is the toolstack's command in dom0") from error
            try:
                code = process.wait()
            except KeyboardInterrupt:
                with undisturbed():
                    raise Interrupted(process.wait()) from None
            return Done(code, *(_text(file) for file in (out, err)))

    def _checked(self, *arguments: str) -> Done:
        done = self.call(*arguments)
        if done.code != 0:
            ending = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
            raise XlError(f"xl {arguments[0]} failed ({ending})", done.err)
        return done

    def config(self, path: str, options: Sequence[str] = ()) -> Config:
        """What `xl create -n` makes of a configuration; nothing is created.

        Raises:
            XlError: It is wrong.
        """
        # Behind -f it is the file whatever its name has in it; xl reads it twice, so it cannot be a pipe.
        if path != os.devnull and not os.path.isfile(path):
            raise XlError(f"{path}: not a file")
        return _understood(self._checked("create", "-n", "-f", path, *options).out)

    def create(self, path: str, options: Sequence[str] = ()) -> Done:
        """Create a domain, and leave it paused.

        Raises:
            XlError: It was not created.
        """
        return self._checked("create", PAUSED, "-f", path, *options)

    def domid(self, name: str) -> Optional[int]:
        """The domid of a name; None if no domain has it.

        Raises:
            XlError: xl answers something else.
        """
        done = self.call("domid", "--", name)
        if done.code != 0:
            return None
        if not done.out.strip().isdecimal():
            raise XlError(f"xl domid says {done.out.strip()!r}", done.err)
        return int(done.out)

    def unpause(self, domid: int) -> None:
        """Let a domain run.

        Raises:
            XlError: It failed.
        """
        self._checked("unpause", str(domid))

    def destroy(self, domid: int) -> None:
        """Destroy a domain.

        Raises:
            XlError: It failed.
        """
        self._checked("destroy", str(domid))


def _text(file: Any) -> str:
    file.seek(0)
    data: bytes = file.read()
    return data.decode("utf-8", "replace")


def _understood(text: str) -> Config:
    """The configuration that `xl create -n` printed, in whichever of its two formats xl.conf chooses."""
    try:
        found = json.loads(text)
        create, build = found["c_info"], found.get("b_info", {})
        name, kind = create["name"], str(create.get("type", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        match = _SXP_NAME.search(text)
        if match is None:
            raise XlError(f"xl create -n tells no name: {text[:200]!r}") from error
        kind = "hvm" if _SXP_HVM.search(text) else "pv" if _SXP_PV.search(text) else ""
        # It does not say whether there is a device model; without one it is PVH as it was before 4.10.
        return Config(match[1], kind, has_firmware=kind == "hvm")
    # What has its default value is not printed; that of max_vcpus is 1.
    vcpus: Union[int, object] = build.get("max_vcpus", 1)
    has_firmware = kind == "hvm" and build.get("device_model_version") != "none"
    return Config(
        str(name), kind, vcpus if isinstance(vcpus, int) else None, has_firmware, xlconfig.understood(create, build)
    )
