# SPDX-License-Identifier: MIT
"""A shell in a folder of its own, in which the commands of a document run one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple

from tests.docs import places
from tests.docs.blocks import ROOT, Block, Typed, typed

CONTEXT = 'preset = "flat32"\neip = 0x100000\nesp = "0x80000 + 0x1000 * vcpuid"\n'
FILES = {
    "ap.toml": CONTEXT,
    "web.toml": f'vcpus = "1-3"\n\n[context]\n{CONTEXT}',
    "dmesg.txt": (ROOT / "tests/data/dumps/hvmctx.txt").read_text(encoding="ascii"),
    "web.cfg": 'name = "new"\ntype = "pvh"\nvcpus = 4\n',
}
"""What the examples of `--help` take for granted; a document says itself what its files are."""

_HOME = (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions")
_HERE = Path(__file__).parent
_STANDINS = {"xl": ROOT / "tests/toolstacks/standin_xl.py", "xe": _HERE / "standin_xe.py"}
TIMEOUT = 300


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    typed: Typed
    code: int
    output: str


class Session:
    """The folder and what is in it."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.work = folder / "work"
        for path in (*(f"home/{each}" for each in _HOME), "bin", "work", "python", "run"):
            (folder / path).mkdir(parents=True)
        for place in (*places.MOVED, *(added.partition("/root")[2] for added in places.ADDED.values())):
            (folder / f"root{place}").mkdir(parents=True, exist_ok=True)
        self._programs()
        self._world()
        self.environment = self._environment(host)

    def _programs(self) -> None:
        for name, source in _STANDINS.items():
            path = self.folder / "bin" / name
            path.write_text(f"#!{sys.executable}\n{source.read_text(encoding='utf-8')}", encoding="utf-8")
            path.chmod(0o755)
        shutil.copy(_HERE / "standin_libvirt.py", self.folder / "python" / "libvirt.py")
        # What a document says of a clone.
        for name in ("ansible_collections", "examples"):
            shutil.copytree(ROOT / name, self.work / name, ignore=shutil.ignore_patterns("__pycache__"))

    def _world(self) -> None:
        from xenvcpu.model import worldfile

        worldfile.new(str(self.folder / "world.json"), "4.17")
        self.uuid = str(worldfile.load(str(self.folder / "world.json")).named("web").handle)
        xml = (
            f"<domain type='test'><name>web</name><uuid>{self.uuid}</uuid><memory>8192</memory><vcpu>4</vcpu>"
            "<os><type>hvm</type></os></domain>"
        )
        (self.folder / "libvirt.json").write_text(json.dumps({"web": {"xml": xml, "runs": False}}))

    def _environment(self, host: str) -> dict[str, str]:
        path = (str(self.folder / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin")
        python = (str(self.folder / "python"), *filter(None, sys.path), str(ROOT))
        made = {
            "PATH": os.pathsep.join(path), "HOME": str(self.folder / "home"), "PYTHONPATH": os.pathsep.join(python),
            "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "XL_WORLD": str(self.folder / "world.json"),
            "XL_LOG": str(self.folder / "xl.log"), "LIBVIRT_STATE": str(self.folder / "libvirt.json"),
            "XE_PLUGINS": str(self.folder / "root/etc/xapi.d/plugins"), "HOST": "this-host", "VM": self.uuid,
        }
        made.update(
            ANSIBLE_COLLECTIONS_PATH=str(ROOT), ANSIBLE_HOME=str(self.folder / "home/.ansible"), ANSIBLE_NOCOLOR="1",
            ANSIBLE_LOCALHOST_WARNING="False",
        )
        return {**made, "XENVCPU_HOST": host.format(folder=self.folder)} if host else made

    def command(self, text: str) -> str:
        """What is run for a command that is documented."""
        for begins, added in places.ADDED.items():
            if text.startswith(begins):
                text = f"{begins} {added}{text[len(begins):]}"
        for place in places.MOVED:
            text = text.replace(place, f"{{folder}}/root{place}")
        return text.replace("{folder}", str(self.folder))

    def shown(self, text: str) -> str:
        """What was printed, with the places that are documented."""
        return text.replace(f"{self.folder}/root", "").replace(f"{self.folder}/", "")

    def run(self, parts: Iterable[Block | Typed]) -> list[Said]:
        """Write the files and run the commands and examples, in order, in one shell."""
        script, commands = ["code=0"], []
        for part in parts:
            if isinstance(part, Block) and not part.file:
                (self.folder / f"run/{len(script)}.py").write_text(part.text, encoding="utf-8")
                part = Typed(part.page, part.line, f"python '{self.folder}/run/{len(script)}.py'", 0, ())
            if isinstance(part, Block):
                path = self.folder / "run" / f"file.{len(script)}"
                path.write_text(part.text, encoding="utf-8")
                script.append(f"cp '{path}' '{part.file}'")
                continue
            number = len(commands)
            commands.append(part)
            (self.folder / f"run/{number}").write_text(self.command(part.command) + "\n", encoding="utf-8")
            at = f"{self.folder}/run/{number}"
            script.append(f"(exit $code); . '{at}' >'{at}.out' 2>&1 </dev/null; code=$?; echo $code >'{at}.code'")
        subprocess.run(
            ["bash", "-c", "\n".join(script)], cwd=self.work, env=self.environment, timeout=TIMEOUT, check=False,
            stdin=subprocess.DEVNULL,
        )
        return [self._said(number, part) for number, part in enumerate(commands)]

    def _said(self, number: int, part: Typed) -> Said:
        at = self.folder / "run" / str(number)
        code = at.with_suffix(".code")
        # Without one, the shell came to its end before.
        ended = int(code.read_text()) if code.exists() else -1
        output = at.with_suffix(".out")
        return Said(part, ended, self.shown(output.read_text(encoding="utf-8")) if output.exists() else "")


def parts(found: Iterable[Block]) -> Iterator[Block | Typed]:
    """The files, commands and Python examples of a document, in order; those that run elsewhere are left out."""
    for block in found:
        if block.file or block.language == "python":
            yield block
        elif block.language == "console":
            for each in typed(block):
                if not any(each.command.startswith(other.begins) for other in places.ELSEWHERE):
                    yield each
