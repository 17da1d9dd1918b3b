# SPDX-License-Identifier: MIT
"""How XAPI calls a host plugin: one XML-RPC call as the only argument, one XML-RPC response on stdout, exit code 0.

The call's parameters are a session's reference and a map of strings to strings. What is given back is a string.

Source: ocaml/xapi/xapi_plugins.ml and XenAPIPlugin.py of xapi-project/xen-api.
"""

from __future__ import annotations

import xmlrpc.client
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence, Tuple
from xml.parsers.expat import ExpatError

PLUGIN_FAILURE = "XENAPI_PLUGIN_FAILURE"
UNKNOWN_FUNCTION = "UNKNOWN_XENAPI_PLUGIN_FUNCTION"

Arguments = Mapping[str, str]
Functions = Mapping[str, Callable[[Arguments], str]]


class Failure(Exception):
    """What the caller gets as XenAPI.Failure: a code, and parameters that are texts."""

    def __init__(self, code: str, *parameters: str) -> None:
        super().__init__(code, *parameters)
        self.description: Tuple[str, ...] = (code, *parameters)


@dataclass(frozen=True)
class Call:
    """A call of a plugin.

    Attributes:
        function: What is asked for.
        arguments: Its arguments. The session's reference is left out: we ask XAPI nothing.
    """

    function: str
    arguments: Arguments


def read(text: str) -> Call:
    """Read a call.

    Raises:
        Failure: It is none.
    """
    try:
        parameters, function = xmlrpc.client.loads(text)
    except (ExpatError, xmlrpc.client.Error, ValueError, LookupError, TypeError, AssertionError) as error:
        raise Failure(PLUGIN_FAILURE, "not an XML-RPC call", type(error).__name__, _printable(error)) from error
    if not isinstance(function, str) or len(parameters) != 2:
        raise Failure(PLUGIN_FAILURE, "not a call of a plugin", "a session and a map of arguments are expected")
    arguments = parameters[1]
    if not isinstance(arguments, dict) or not all(isinstance(value, str) for value in arguments.values()):
        raise Failure(PLUGIN_FAILURE, function, "the arguments are not a map of strings to strings")
    return Call(function, arguments)


def answer(functions: Functions, text: str) -> str:
    """Carry out a call; whatever happens, there is a reply.

    Args:
        functions: Those that may be called, and no other.
        text: The call.
    """
    function = ""
    try:
        call = read(text)
        function = call.function
        if function not in functions:
            raise Failure(UNKNOWN_FUNCTION, function)
        return _reply({"Status": "Success", "Value": _printable(functions[function](call.arguments))})
    except Failure as failure:
        return _failed(failure.description)
    except Exception as error:
        return _failed((PLUGIN_FAILURE, function, type(error).__name__, str(error)))


def _failed(description: Sequence[str]) -> str:
    return _reply({"Status": "Failure", "ErrorDescription": [_printable(part) for part in description]})


def _reply(members: Mapping[str, object]) -> str:
    return xmlrpc.client.dumps((dict(members),), methodresponse=True)


def _printable(value: object) -> str:
    """A text that XML can carry: of ASCII's control characters it has tab, line feed and carriage return."""
    return "".join(c if c.isprintable() or c in "\t\n\r" else f"\\u{ord(c):04x}" for c in str(value))
