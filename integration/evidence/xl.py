# SPDX-License-Identifier: MIT
"""Xen as its own tool ``xl`` shows it."""

import re
import subprocess
import tempfile
from typing import Dict, List, Mapping, Optional, Sequence, Union

from integration import limits

#: A value of a domain's configuration.
ConfigValue = Union[int, str, Sequence[str]]

_LIMIT = 120.0


class XlError(Exception):
    """``xl`` failed; the text has its output."""


def run(*arguments: str, timeout: float = _LIMIT) -> str:
    """Runs ``xl`` and returns its standard output.

    Raises:
        XlError: It failed or took too long.
    """
    try:
        done = limits.run(["xl", *arguments], timeout)
    except subprocess.TimeoutExpired:
        raise XlError(f"xl {' '.join(arguments)}: over {timeout:g} s") from None
    if done.returncode:
        raise XlError(f"xl {' '.join(arguments)}: {done.stdout}{done.stderr}".strip())
    return str(done.stdout)


def _render(value: ConfigValue) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    return "[" + ", ".join(f'"{item}"' for item in value) + "]"


def create(config: Mapping[str, ConfigValue]) -> int:
    """Creates a domain and returns its domid."""
    text = "".join(f"{key}={_render(value)}\n" for key, value in config.items())
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text)
        file.flush()
        run("create", file.name)
    return domid(str(config["name"]))


def domid(name: str) -> int:
    """Returns the domid of a name."""
    return int(run("domid", name))


def destroy(domain: int) -> None:
    """Destroys a domain; one that is gone already is fine."""
    try:
        run("destroy", str(domain))
    except XlError:
        if state(domain) is not None:
            raise


def state(domain: int) -> Optional[str]:
    """Returns the state letters of a domain (as ``-b----``), None if it is gone."""
    for line in run("list").splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 6 and fields[-5] == str(domain):
            return fields[-2]
    return None


def vcpu_list(domain: int) -> Dict[int, str]:
    """Returns the state letters of each vcpu: ``-b-`` blocked, ``--p`` down, ``r--`` running."""
    found: Dict[int, str] = {}
    for line in run("vcpu-list", str(domain)).splitlines()[1:]:
        match = re.match(r"(\S+)\s+(\d+)\s+(\d+)\s+(\d+|-)\s+(\S+)\s", line)
        if match and int(match[2]) == domain:
            found[int(match[3])] = match[5]
    return found


def online(domain: int) -> List[int]:
    """Returns the vcpus that are up."""
    return [vcpuid for vcpuid, letters in vcpu_list(domain).items() if "p" not in letters]


def dmesg() -> List[str]:
    """Returns the lines in Xen's console ring."""
    return run("dmesg").splitlines()
