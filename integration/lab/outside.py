# SPDX-License-Identifier: MIT
"""What runs on this side of an emulated host: ansible-playbook, when a test in the dom0 asks for it.

The test sends the tasks as an event; Ansible then drives the dom0 through the command channel, and what
came of it is delivered there by the same way.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from integration import hosttime
from integration.lab.channel import ChannelError, ask
from integration.lab.events import Event
from integration.limits import Limit, run

PROJECT = Path(__file__).resolve().parents[2]
MISSING = "no ansible-playbook outside the emulated host: pip install ansible-core"
_LIMIT = 600.0
_TAIL = 4000


def find_ansible() -> Optional[str]:
    """Returns the path of ansible-playbook: of this Python, or the one on the PATH."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    return str(beside) if beside.is_file() else shutil.which("ansible-playbook")


def environment(commands: Path, page: Path, work: Path, results: Path) -> Dict[str, str]:
    """Returns what Ansible needs to know to drive the dom0."""
    plugins = PROJECT / "integration/ansible"
    (work / "ansible.cfg").touch()
    return {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(plugins / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "results",
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT),
        "ANSIBLE_CONFIG": str(work / "ansible.cfg"),
        "ANSIBLE_CONNECTION_PLUGINS": str(plugins / "connection_plugins"),
        "ANSIBLE_HOME": str(work / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(PROJECT),
        "XENVCPU_ANSIBLE_RESULTS": str(results),
        "XENVCPU_LAB_COMMANDS": str(commands),
        hosttime.VARIABLE: str(page),
    }


class Outside:
    """Answers the requests of one emulated host.

    Args:
        commands: The socket of its command channel.
        page: The file that holds for how long it has waited.
        work: Scratch directory.
        limit: Makes a limit in seconds of its time.
    """

    def __init__(
        self, commands: Path, page: Path, work: Path, limit: Callable[[float], Limit] = Limit
    ) -> None:
        self._commands = commands
        self._page = page
        self._work = work
        self._limit = limit

    def take(self, event: Event) -> None:
        """Plays what an event asks for, in a thread, so that the host is still listened to."""
        threading.Thread(target=self._deliver, args=(event,), daemon=True).start()

    def _deliver(self, event: Event) -> None:
        try:
            program = find_ansible()
            played = {"missing": MISSING} if program is None else self.play(program, event)
        except Exception:  # whatever it is, the test waits for an answer
            played = {"code": -1, "tasks": [], "out": traceback.format_exc()[-_TAIL:]}
        try:
            ask(str(self._commands), 60, deliver=played)
        except ChannelError:
            pass  # the test sees that nothing came

    def play(self, program: str, event: Event) -> Dict[str, Any]:
        """Runs the tasks of an event; returns the exit code, each task's result and what was printed."""
        results = self._work / "results.jsonl"
        results.unlink(missing_ok=True)
        book = self._work / "playbook.json"
        book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": event.fields["tasks"]}]))
        argv = [program, "-i", "dom0,", "-c", "lab"]
        argv += ["-e", "ansible_python_interpreter=/usr/bin/python3", str(book)]
        argv += _words(event.fields.get("arguments"))
        try:
            done = run(
                argv,
                self._limit(_LIMIT),
                cwd=self._work,
                env=environment(self._commands, self._page, self._work, results),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            return {"code": -1, "tasks": [], "out": str(error.output)[-_TAIL:]}
        lines = results.read_text().splitlines() if results.exists() else []
        return {"code": done.returncode, "tasks": [json.loads(line) for line in lines], "out": done.stdout[-_TAIL:]}


def _words(value: object) -> List[str]:
    return [str(word) for word in value] if isinstance(value, list) else []
