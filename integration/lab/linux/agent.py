# SPDX-License-Identifier: MIT
"""The Linux guest's side of a job: scripts come in, output goes out, over the console.

Every line begins with ``@@``. In: ``@@ DATA n BASE64`` (acknowledged), then
``@@ RUN n``, and ``@@ STOP n`` if it takes too long, which only the dom0 knows.
Out: ``@@ READY``, ``@@ ACK n``, ``@@ OUT n BASE64``, and
``@@ EXIT n STATUS DIGEST`` where the digest is over the whole output.
"""

import base64
import hashlib
import os
import select
import signal
import subprocess
import tty
from typing import List, Tuple

CONSOLE = "/dev/hvc0"
CHUNK = 600
TIMED_OUT = 124


class Console:
    """The console as a channel of lines."""

    def __init__(self) -> None:
        self._fd = os.open(CONSOLE, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        self._pending = b""

    def fileno(self) -> int:
        """Returns the descriptor to wait at."""
        return self._fd

    def send(self, *words: object) -> None:
        """Sends one line."""
        line = ("\n@@ " + " ".join(str(word) for word in words) + "\n").encode()
        while line:
            line = line[os.write(self._fd, line) :]

    def receive(self) -> List[str]:
        """Returns the words of the next line meant for us."""
        while True:
            while b"\n" not in self._pending:
                self._pending += os.read(self._fd, 4096)
            line, self._pending = self._pending.split(b"\n", 1)
            words = line.decode(errors="replace").split()
            if words[:1] == ["@@"] and len(words) > 2:
                return words[1:]


def run(script: bytes, number: str, console: Console) -> Tuple[int, bytes]:
    """Runs a shell script, until it is told to stop; returns its exit status and its output."""
    process = subprocess.Popen(
        ["sh", "-c", script.decode()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output, is_stopped = b"", False
    while True:
        ready, _, _ = select.select([process.stdout.fileno(), console.fileno()], [], [])
        if console.fileno() in ready and console.receive()[:2] == ["STOP", number]:
            os.killpg(process.pid, signal.SIGKILL)
            is_stopped = True
        if process.stdout.fileno() in ready:
            data = os.read(process.stdout.fileno(), 1 << 16)
            output += data
            if not data:
                process.stdout.close()
                return TIMED_OUT if process.wait() and is_stopped else process.returncode, output


def serve(console: Console) -> None:
    """Serves jobs for ever."""
    console.send("READY", os.getpid())
    script = b""
    while True:
        word, number, rest = (console.receive() + [""])[:3]
        if word == "DATA":
            script += base64.b64decode(rest)
            console.send("ACK", number)
        elif word == "RUN":
            status, output = run(script, number, console)
            script = b""
            for start in range(0, len(output), CHUNK):
                encoded = base64.b64encode(output[start : start + CHUNK]).decode()
                console.send("OUT", number, encoded)
            console.send("EXIT", number, status, hashlib.sha256(output).hexdigest())


def main() -> None:
    """Silences the kernel and serves."""
    with open("/proc/sysrq-trigger", "w") as trigger:
        trigger.write("1")  # from here on only emergencies may speak between our lines; with 0 not even a panic does
    serve(Console())


if __name__ == "__main__":
    main()
