# SPDX-License-Identifier: MIT
"""The command channel, dom0 side: runs what it is asked to, and takes what a test waits for."""

import base64
import json
import os
import queue
import subprocess
import threading
import time
from types import TracebackType
from typing import Any, Dict, Optional, Type

from integration.limits import run

PORT = "/dev/vport0p3"

#: A command that takes longer is killed.
LIMIT = 240.0

#: The port reads as empty while nobody is at its other end, and a moment longer.
_NOBODY = 0.02


class Commands:
    """Serves the port from a thread; use it as a context manager.

    Attributes:
        delivered: What was delivered, in the order that it came.
    """

    def __init__(self, port: str = PORT) -> None:
        self.delivered: "queue.Queue[Dict[str, Any]]" = queue.Queue()
        self._fd = os.open(port, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Commands":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._fd)

    def _serve(self) -> None:
        pending = b""
        while not self._stop.is_set():
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                data = None
            if not data:
                time.sleep(_NOBODY)
                continue
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                request = _parse(line)
                if request is not None:
                    self._send(json.dumps(self.answer(request)).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        while data and not self._stop.is_set():
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                time.sleep(_NOBODY)

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Does what a request asks for.

        Args:
            request: ``{"run": a command line of sh, "input": base64}``, or ``{"deliver": anything}``.

        Returns:
            The answer: of a command ``code``, and in base64 ``out`` and ``err``.
        """
        answer: Dict[str, Any] = {"id": request["id"]}
        if "deliver" in request:
            self.delivered.put(request["deliver"])
            return answer
        try:
            given = base64.b64decode(request.get("input", ""))
            done = run(["/bin/sh", "-c", request["run"]], LIMIT, given, text=False)
        except subprocess.TimeoutExpired:
            return {**answer, "code": 124, "out": "", "err": base64.b64encode(b"took too long").decode()}
        texts = {"out": done.stdout, "err": done.stderr}
        coded = {name: base64.b64encode(text).decode() for name, text in texts.items()}
        return {**answer, "code": done.returncode, **coded}


def _parse(line: bytes) -> Optional[Dict[str, Any]]:
    """The request in a line; None if it is none, as when its client has gone in the midst of it."""
    try:
        request = json.loads(line)
    except ValueError:
        return None
    return request if isinstance(request, dict) and "id" in request else None
