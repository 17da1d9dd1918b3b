# SPDX-License-Identifier: MIT
"""Programs of an unpacked image, run on this machine without chroot or root.

The image's own dynamic loader starts them with the image's own libraries, so
byte code and module indexes are made by exactly the versions that use them.
"""

import os
from pathlib import Path
from typing import List

from integration.lab.commands import run

LIBRARIES = "usr/lib/x86_64-linux-gnu"


class ForeignRoot:
    """An unpacked image.

    Attributes:
        path: Its root directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def argv(self, program: str) -> List[str]:
        """Returns the words that start ``program``; see ``run`` for what that is."""
        libraries = self.path / LIBRARIES
        loader = libraries / "ld-linux-x86-64.so.2"
        return [str(loader), "--library-path", str(libraries), str(self.path / program)]

    def run(self, program: str, *arguments: str, timeout: float) -> str:
        """Runs ``program`` of the image and returns what it printed.

        Args:
            program: Path inside the image without a leading slash, or a path of
                this machine that leads into it.
            arguments: Its arguments; paths are those of this machine.
            timeout: Limit in seconds.
        """
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        env["PYTHONHOME"] = str(self.path / "usr")
        return run([*self.argv(program), *arguments], timeout=timeout, env=env)

    def compile_python(self, directory: Path, base: Path) -> None:
        """Byte-compiles a tree with the image's Python.

        Args:
            directory: The tree; a file that fails is left to the interpreter.
            base: What stands for the image's root in tracebacks.
        """
        code = (
            "import compileall, py_compile, sys;"
            "compileall.compile_dir(sys.argv[1], quiet=2, maxlevels=20,"
            "stripdir=sys.argv[2], prependdir='/',"
            "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
        )
        self.run("usr/bin/python3", "-c", code, str(directory), str(base), timeout=600)
