# SPDX-License-Identifier: MIT
"""What XAPI does when an API user says `host.call_plugin`: run the program, and read its reply as strictly as XAPI.

Source: ocaml/xapi/xapi_plugins.ml.
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Mapping, Tuple
from xml.sax.saxutils import escape

from integration.limits import run

SESSION = "OpaqueRef:8d2b5e0c-1f0e-4c59-a2a4-0d5d6b1a3c77"


class ServerError(Exception):
    """An error as the API user gets it: its code, then its parameters."""

    def __init__(self, *description: str) -> None:
        super().__init__(*description)
        self.description: Tuple[str, ...] = description


def method_call(function: str, arguments: Mapping[str, str]) -> str:
    """The call as XAPI writes it: a text stands in `value` as it is, with no element `string` around it."""
    members = "".join(
        f"<member><name>{escape(name)}</name><value>{escape(value)}</value></member>"
        for name, value in arguments.items()
    )
    return (
        f"<methodCall><methodName>{escape(function)}</methodName><params><param><value>{SESSION}</value></param>"
        f"<param><value><struct>{members}</struct></value></param></params></methodCall>"
    )


def call_plugin(plugin: Path, function: str, arguments: Mapping[str, str], *, call: str = "") -> str:
    """Call a plugin.

    Raises:
        ServerError: It failed.
    """
    done = run(
        [str(plugin), call or method_call(function, arguments)], 120, cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise ServerError("XENAPI_PLUGIN_FAILURE", "non-zero exit", done.stdout, done.stderr)
    try:
        root = xml.fromstring(done.stdout)
    except xml.ParseError as error:
        raise ServerError(
            "XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", done.stdout, str(error)
        ) from error
    members = _struct(root)
    if members is None or root.tag != "methodResponse":
        raise ServerError("XENAPI_PLUGIN_FAILURE", "unexpected XMLRPC result", done.stdout)
    if _string(members["Status"]) == "Success":
        return _string(members["Value"])
    raise ServerError(*(_string(value) for value in members["ErrorDescription"].findall("array/data/value")))


def _struct(root: xml.Element) -> Mapping[str, xml.Element] | None:
    found = root.find("params/param/value/struct")
    if found is None:
        return None
    return {str(member.findtext("name")): member.find("value") for member in found}  # type: ignore[misc]


def _string(value: xml.Element) -> str:
    assert [child.tag for child in value] in ([], ["string"]), "XAPI takes a string and nothing else"
    return (value.findtext("string") if len(value) else value.text) or ""
