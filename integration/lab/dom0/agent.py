# SPDX-License-Identifier: MIT
"""The dom0's side of a run: does one job, sends signs of life and all results.

It is started as a file, by the dom0's first process. The job is described in
``/lab/job.json``: ``{"kind": "pytest" | "exec", "argv": [...], "limit": seconds}``
or ``{"kind": "shell"}``.
"""

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Dict, List

from integration.lab.dom0.status import FD_VARIABLE, Status, shorten
from integration.limits import Limit, run

JOB = Path("/lab/job.json")
PROJECT = Path("/lab/project")
RESULTS = Path("/lab/results")
GUEST_LOGS = Path("/var/log/xen/console")
STATUS_PORT = "/dev/vport0p1"
RESULTS_PORT = "/dev/vport0p2"
HEARTBEAT = 2.0
_TAIL = 4000


class Heartbeat(threading.Thread):
    """Says every two seconds that the dom0 lives, and what its guests print."""

    def __init__(self, status: Status) -> None:
        super().__init__(daemon=True)
        self._status = status
        self._read: Dict[str, int] = {}

    def run(self) -> None:
        while True:
            self._status.send("alive", uptime=time.monotonic())
            self.forward_guests()
            time.sleep(HEARTBEAT)

    def forward_guests(self) -> None:
        """Sends what guests printed since the last call, at most its end."""
        for path in sorted(GUEST_LOGS.glob("guest-*.log")):
            size = path.stat().st_size
            done = self._read.get(path.name, 0)
            if size > done:
                with path.open("rb") as file:
                    file.seek(max(done, size - _TAIL))
                    text = file.read(_TAIL).decode(errors="replace")
                self._read[path.name] = size
                self._status.send("guest", name=path.name[6:-4], text=text)


def run_command(argv: List[str], limit: float, status: Status, quiet: bool) -> int:
    """Runs a job's command; its output goes to a file, and out at once unless quiet."""
    expiry = Limit(limit)
    environment = {**os.environ, FD_VARIABLE: str(status.fd)}
    with (RESULTS / "output.txt").open("wb") as log, subprocess.Popen(
        argv,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=(status.fd,),
    ) as process:
        threading.Thread(target=_kill_after, args=(expiry, process), daemon=True).start()
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if not quiet:
                status.send("output", text=shorten(line.decode(errors="replace")))
        code = process.wait()
    if expiry.passed:
        status.send("expired", limit=limit)
    return code


def _kill_after(limit: Limit, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        if limit.passed:
            process.kill()
        time.sleep(HEARTBEAT)


def collect_evidence() -> None:
    """Puts Xen's console ring and the guests' logs beside the results."""
    with (RESULTS / "xl-dmesg.txt").open("wb") as file:
        run(["xl", "dmesg"], 60, stdout=file, stderr=file)
    for path in GUEST_LOGS.glob("*.log"):
        (RESULTS / path.name).write_bytes(path.read_bytes())


def send_results() -> int:
    """Sends the results directory and returns the number of bytes sent."""
    archive = Path("/run/results.tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(RESULTS, arcname=".")
    data = archive.read_bytes()
    with open(RESULTS_PORT, "wb", buffering=0) as port:
        view = memoryview(data)
        while view:
            view = view[port.write(view) :]
    return len(data)


def shell() -> int:
    """Runs an interactive shell on the console."""
    print("\nA dom0 of the lab; the project is in /lab/project. 'exit' ends it.\n")
    with open("/dev/hvc0", "r+b", buffering=0) as tty:
        argv = ["setsid", "-c", "sh", "-i"]
        return subprocess.call(argv, cwd=PROJECT, stdin=tty, stdout=tty, stderr=tty)


def main() -> int:
    """Does the job."""
    job = json.loads(JOB.read_text())
    RESULTS.mkdir(parents=True, exist_ok=True)
    if job["kind"] == "shell":
        return shell()
    status = Status(os.open(STATUS_PORT, os.O_WRONLY))
    status.send("ready", uptime=time.monotonic())
    heartbeat = Heartbeat(status)
    heartbeat.start()
    try:
        code = run_command(job["argv"], job["limit"], status, job["kind"] == "pytest")
    except OSError as error:
        status.send("output", text=f"{error}\n")
        code = 127
    collect_evidence()
    heartbeat.forward_guests()
    status.send("done", status=code, bytes=send_results())
    time.sleep(5)  # the other side ends us as soon as it has everything
    return code


if __name__ == "__main__":
    sys.exit(main())
