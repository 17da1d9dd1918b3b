# SPDX-License-Identifier: MIT
"""The command channel and Ansible behind it; a socket stands in for QEMU, and this machine for the dom0."""

import json
import os
import socket
import sys
import tempfile
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Callable, Iterator, List

import pytest

from integration.lab import outside
from integration.lab.channel import ChannelError, ask
from integration.lab.dom0.commands import Commands
from integration.lab.events import Event
from integration.lab.outside import Outside, find_ansible

Answer = Callable[[bytes], bytes]


class Channel:
    """A socket that answers each line, one client after the other.

    Attributes:
        path: The socket.
        answer: What gives the answer to a line.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = str(path)
        self.answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                for line in lines:
                    client.sendall(self.answer(line))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


class Port:
    """A port of the dom0, played by a terminal: what is written at one end is read at the other."""

    def __init__(self) -> None:
        self.outer, self._inner = os.openpty()
        tty.setraw(self._inner)
        attributes = termios.tcgetattr(self._inner)
        attributes[6][termios.VMIN] = 0  # it reads as empty, as the port does that nobody seems to be at
        termios.tcsetattr(self._inner, termios.TCSANOW, attributes)
        self.path = os.ttyname(self._inner)

    def exchange(self, line: bytes) -> bytes:
        """Puts a line in, and gives back the one that comes out; none does for an empty one."""
        is_empty = line == b"\n"
        while line:
            line = line[os.write(self.outer, line) :]
        if is_empty:
            return b""
        answer = b""
        while not answer.endswith(b"\n"):
            answer += os.read(self.outer, 65536)
        return answer

    def close(self) -> None:
        os.close(self.outer)
        os.close(self._inner)


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


@pytest.fixture
def commands(port: Port) -> Iterator[Commands]:
    """The dom0's side."""
    with Commands(port.path) as made:
        yield made


@pytest.fixture
def channel(port: Port, commands: Commands) -> Iterator[Channel]:
    with tempfile.TemporaryDirectory() as folder:
        made = Channel(Path(folder) / "socket", port.exchange)
        yield made
        made.close()


def test_a_command_is_run_and_its_output_comes_back(channel: Channel) -> None:
    answer = ask(channel.path, 60, run="cat; echo wrong >&2; exit 3", input="AP8K")
    assert (answer["code"], answer["out"], answer["err"]) == (3, "AP8K", "d3JvbmcK")


def test_what_is_delivered_waits_for_the_test(channel: Channel, commands: Commands) -> None:
    ask(channel.path, 60, deliver={"code": 0})
    assert commands.delivered.get(timeout=60) == {"code": 0}


def test_an_answer_to_somebody_else_is_passed_over(channel: Channel) -> None:
    ours = channel.answer
    channel.answer = lambda line: b'e": 1}\n{"id": "other", "code": 7}\n' + ours(line)
    assert ask(channel.path, 60, run="exit 2")["code"] == 2


def test_a_dom0_that_is_gone_or_silent_is_told(channel: Channel, tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="no answer"):
        ask(str(tmp_path / "nothing"), 1, run="true")
    channel.answer = lambda line: b""
    with pytest.raises(ChannelError, match="no answer"):
        ask(channel.path, 0.2, run="true")


def test_a_request_may_come_in_pieces_and_be_large(channel: Channel, port: Port, commands: Commands) -> None:
    os.write(port.outer, b'{"id": "1", ')
    time.sleep(0.1)
    assert json.loads(port.exchange(b'"deliver": 1}\n')) == {"id": "1"}
    ask(channel.path, 60, deliver="x" * 300_000)
    assert [commands.delivered.get(timeout=60) for _ in range(2)] == [1, "x" * 300_000]


@pytest.mark.parametrize("line", [b'{"id": "1", "run": "ec', b"\xff\n", b"[1]\n{}\n"])
def test_a_line_that_is_no_request_is_passed_over(channel: Channel, port: Port, line: bytes) -> None:
    """As when a client has gone before all of it was sent."""
    os.write(port.outer, line)
    assert ask(channel.path, 60, run="exit 2")["code"] == 2


def event(tasks: List[object], *arguments: str) -> Event:
    return Event("play", {"tasks": tasks, "arguments": list(arguments)})


@pytest.mark.skipif(find_ansible() is None, reason=outside.MISSING)
def test_ansible_drives_what_is_behind_the_channel(channel: Channel, tmp_path: Path) -> None:
    there, back = str(tmp_path / "there"), f"{tmp_path}/back/"
    played = Outside(Path(channel.path), tmp_path / "page", tmp_path).play(str(find_ansible()), event([
        {"name": "copy", "ansible.builtin.copy": {"content": "hello", "dest": there}},
        {"name": "fetch", "ansible.builtin.fetch": {"src": there, "dest": back, "flat": True}},
    ], "-e", f"ansible_python_interpreter={sys.executable}"))
    assert played["code"] == 0, played["out"]
    assert [task["result"]["changed"] for task in played["tasks"]] == [True, True]
    assert (tmp_path / "back/there").read_text() == "hello"


def test_without_ansible_the_test_is_told_why(
    channel: Channel, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    Outside(Path(channel.path), tmp_path / "page", tmp_path).take(event([]))
    assert "pip install ansible-core" in commands.delivered.get(timeout=60)["missing"]


def test_a_play_that_cannot_be_begun_is_told(
    channel: Channel, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ansible-playbook").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    Outside(Path(channel.path), tmp_path / "page", tmp_path / "nothing").take(event([]))
    played = commands.delivered.get(timeout=60)
    assert played["code"] == -1 and "FileNotFoundError" in played["out"]
