# SPDX-License-Identifier: MIT
"""The functions of the plugin: each is one of our own commands with `--json`, in a process of its own.

So what it returns is what that command prints, and a failure's last parameter is the error as the command tells it.
What a caller can give is in the tables here: he may be an API user who has no shell on the host, so that nothing
that he gives names a file.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple
from uuid import UUID

from xenvcpu import vcpuset
from xenvcpu.allowances import Allowance, Allowances
from xenvcpu.cli.exits import Exit
from xenvcpu.errors import XenVcpuError
from xenvcpu.rules.release import Release
from xenvcpu.toolstacks.xapi.convention import PLUGIN_FAILURE, Arguments, Failure, Functions, answer

INVALID_ARGUMENT = "XENVCPU_INVALID_ARGUMENT"
CODES: Mapping[int, str] = {
    Exit.FAILED: "XENVCPU_FAILED", Exit.USAGE: INVALID_ARGUMENT, Exit.REFUSED: "XENVCPU_CONTEXT_REFUSED",
    Exit.XEN: "XENVCPU_REFUSED_BY_XEN", Exit.HOST: "XENVCPU_HOST_CANNOT",
}
"""The failure code for each exit code of a command. Its parameters are a message and, as JSON, all there is to it."""

_PROGRAM = "import sys; sys.path.append({!r}); from xenvcpu.cli.main import main; main()"
_LARGEST_CONTEXT = 1 << 16
_STARTING = tuple(
    f"allow-{each.value}" for each in (Allowance.DEVICE_ACCESS_LOSS, Allowance.UNBUILT)
)
_STOPPING = (f"allow-{Allowance.LAST.value}",)
_ALLOWED = (*_STARTING, *_STOPPING)
_MOST_SECONDS = 3600.0


def _uuid(text: str) -> str:
    if str(UUID(text)) != text.lower():
        raise ValueError
    return text


def _vcpu(text: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text[:5]) <= vcpuset.LARGEST):
        raise ValueError
    return text


def _vcpus(text: str) -> str:
    vcpuset.parse(text)
    return text


def _release(text: str) -> str:
    return str(Release.parse(text))


def _seconds(text: str) -> str:
    if not 0 < float(text) <= _MOST_SECONDS:
        raise ValueError
    return text


def _context(text: str) -> str:
    if not text.strip() or len(text) > _LARGEST_CONTEXT:
        raise ValueError
    return text


def _rules(text: str) -> str:
    Allowances.of(ignore_rules=text.split(","))
    return text


def _flag(text: str) -> str:
    return {"true": "true", "false": ""}[text]


KINDS: Mapping[str, Tuple[Callable[[str], str], str]] = {
    "vm-uuid": (_uuid, "the UUID of a VM"),
    "vcpu": (_vcpu, "the number of a vcpu"),
    "vcpus": (_vcpus, "vcpus such as 2, 1-3, 1,5 or all"),
    "context": (_context, f"the text of a context file, in TOML or JSON, of at most {_LARGEST_CONTEXT} characters"),
    "xen": (_release, "a release of Xen such as 4.17"),
    "timeout": (_seconds, f"seconds, up to {_MOST_SECONDS:g}"),
    "ignore-rules": (_rules, "names of rules such as cr4-bit, with commas between, or all"),
    **dict.fromkeys(("dry-run", "no-wait", *_ALLOWED), (_flag, "true or false")),
}
"""Every argument that there is: what makes the text of it that a command gets, and what it must be."""


@dataclass(frozen=True)
class Function:
    """One function of the plugin, and the command that it is.

    Attributes:
        command: The command.
        words: The arguments that stand in its command line, in order; `context` is given to it on stdin.
        options: The arguments that are options of it, under the same name.
        defaults: What arguments are that the caller leaves out; all other words must be given.
        fixed: What stands in the command line whatever the arguments.
        is_verdict: Whether a refusal is an answer to what was asked.
    """

    command: str
    words: Tuple[str, ...] = ()
    options: Tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    fixed: Tuple[str, ...] = ()
    is_verdict: bool = False

    def arguments(self, given: Arguments) -> Dict[str, str]:
        """The arguments, each as a command gets it; flags that are false, and words with no default, are left out.

        Raises:
            Failure: One is missing, unknown, or not what it must be.
        """
        known = (*self.words, *self.options)
        found = {**self.defaults, **given}
        for name in found:
            if name not in known:
                raise _invalid(name, f"{self.command} has no such argument", f"it has {', '.join(known) or 'none'}")
        for name in self.words:
            if name not in found:
                raise _invalid(name, "missing", f"{self.command} needs {KINDS[name][1]}")
        for name, text in found.items():
            if text != self.defaults.get(name):
                found[name] = _checked(name, text)
        return {name: text for name, text in found.items() if text}

    def command_line(self, arguments: Mapping[str, str]) -> List[str]:
        """What stands behind the global options."""
        line = [self.command, *self.fixed]
        for name in self.options:
            if name in arguments:
                is_flag = KINDS[name][0] is _flag
                line += [f"--{name}"] if is_flag else [f"--{name}", arguments[name]]
        words = ("-" if name == "context" else arguments.get(name, "") for name in self.words)
        return [*line, "--", *(word for word in words if word)]


_CHANGING = ("ignore-rules", "timeout", "no-wait")
FUNCTIONS: Mapping[str, Function] = {
    "list": Function("list", ("vm-uuid",), ("timeout",), {"vm-uuid": ""}),
    "show": Function("show", ("vm-uuid", "vcpu"), ("timeout",)),
    "start": Function(
        "start", ("vm-uuid", "vcpus", "context"), (*_CHANGING, *_STARTING, "dry-run"), {"vcpus": vcpuset.ALL}
    ),
    "stop": Function("stop", ("vm-uuid", "vcpus"), (*_CHANGING, *_STOPPING)),
    "check": Function("check", ("context",), ("vcpu", "xen"), fixed=("--interface", "domctl"), is_verdict=True),
}
"""All that can be called."""


def _invalid(name: str, *parameters: str) -> Failure:
    return Failure(INVALID_ARGUMENT, name, *parameters)


def _checked(name: str, text: str) -> str:
    make, meaning = KINDS[name]
    try:
        return make(text)
    except (ValueError, KeyError, XenVcpuError) as error:
        raise _invalid(name, f"not {meaning}", text[:200]) from error


def _call(host: str, name: str, given: Arguments) -> str:
    """Call one of the functions.

    Raises:
        Failure: It failed.
    """
    function = FUNCTIONS[name]
    arguments = function.arguments(given)
    done = _run(host, function.command_line(arguments), arguments.get("context", ""))
    if done.returncode == 0 or function.is_verdict and done.returncode == Exit.REFUSED and done.stdout:
        return done.stdout
    raise _failure(done)


def _run(host: str, line: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
    place = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-I", "-c", _PROGRAM.format(place), "--host", host, "--json", *line]
    return subprocess.run(
        command, input=stdin, capture_output=True, encoding="utf-8", errors="replace", cwd="/", check=False
    )


def _failure(done: subprocess.CompletedProcess[str]) -> Failure:
    code = CODES.get(done.returncode)
    if code is None:
        return Failure(PLUGIN_FAILURE, f"ended with {done.returncode}", done.stderr[-2000:])
    try:
        error: Dict[str, Any] = json.loads(done.stderr)["error"]
        return Failure(code, str(error["message"]), json.dumps(error))
    except (ValueError, KeyError, TypeError):
        return Failure(code, done.stderr.strip()[-2000:], "{}")


def functions(host: str) -> Functions:
    """The functions on a host, as `--host` names it."""
    return {name: functools.partial(_call, host, name) for name in FUNCTIONS}


def main(host: str, arguments: Sequence[str]) -> int:
    """Answer the call that is the only argument, on stdout.

    Returns:
        The exit code: 0 whatever the answer, since XAPI reads none otherwise.
    """
    if len(arguments) != 1:
        print("xenvcpu: XAPI calls this with one XML-RPC call; by hand, use `xe host-call-plugin`", file=sys.stderr)
        return int(Exit.USAGE)
    # Nothing but the answer may come out there, whatever a library prints.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        out.write(answer(functions(host), arguments[0]))
    return 0
