# SPDX-License-Identifier: MIT
"""The command channel, host side: a request to the dom0, and its answer, each one line of JSON.

Behind the socket is a port of the dom0, where ``integration.lab.dom0.commands`` answers. One client
at a time is served, another waits in ``connect``. An answer that belongs to a client which has gone may
come to the next one, which tells it by its id; and a request of which only the beginning was sent is
ended by the next one, which begins with an end of line.
"""

import json
import socket
import uuid
from typing import Any, Dict


from integration.limits import Limit


class ChannelError(Exception):
    """The dom0 does not answer."""


def ask(path: str, timeout: float, **request: object) -> Dict[str, Any]:
    """Sends a request and returns the answer.

    Args:
        path: The socket.
        timeout: Limit in seconds for all of it.
        request: Its fields; see ``Commands.answer``.

    Raises:
        ChannelError: There was none in time.
    """
    number = uuid.uuid4().hex
    limit = Limit(timeout)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.settimeout(timeout)  # a client before us is served for as long as its own limit allows
            client.connect(path)
            client.sendall(b"\n" + json.dumps({"id": number, **request}).encode() + b"\n")
            pending = b""
            while True:
                if limit.passed:
                    raise ChannelError(f"no answer from the dom0 within {timeout:g} s")
                client.settimeout(max(0.01, limit.left))
                try:
                    data = client.recv(1 << 16)
                except socket.timeout:
                    continue
                if not data:
                    raise ChannelError("the dom0 has gone")
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    answer = _parse(line)
                    if answer.get("id") == number:
                        return answer
        except OSError as error:
            raise ChannelError(f"no answer from the dom0: {error}") from error


def _parse(line: bytes) -> Dict[str, Any]:
    """The answer in a line; nothing in one whose beginning went to somebody else."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
