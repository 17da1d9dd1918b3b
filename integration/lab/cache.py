# SPDX-License-Identifier: MIT
"""What the lab has built before, kept by a hash of what went in."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence

CACHE_VARIABLE = "XENVCPU_LAB_CACHE"

#: Called with the directory to fill and a scratch directory.
Builder = Callable[[Path, Path], None]


def digest(inputs: Sequence[str]) -> str:
    """Returns a short hash over strings, each kept apart from the next."""
    total = hashlib.sha256()
    for text in inputs:
        total.update(hashlib.sha256(text.encode()).digest())
    return total.hexdigest()[:16]


class Cache:
    """A directory of artifacts.

    Args:
        path: Where; default ``XENVCPU_LAB_CACHE`` or ``~/.cache/xenvcpu-lab``.
    """

    def __init__(self, path: Optional[Path] = None) -> None:
        chosen = os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache/xenvcpu-lab"
        self.path = Path(path if path is not None else chosen)
        self.path.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, inputs: Sequence[str], build: Builder) -> Path:
        """Returns the directory of an artifact, building it if it is not there.

        An artifact appears whole or not at all; older ones of the same name go.

        Args:
            name: What it is.
            inputs: Everything that decides its content.
            build: Makes it.
        """
        final = self.path / f"{name}-{digest(inputs)}"
        if final.is_dir():
            return final
        with (self.path / f"{name}.lock").open("w") as file, self.scratch() as scratch:
            fcntl.flock(file, fcntl.LOCK_EX)
            if final.is_dir():  # another host of ours has built it meanwhile
                return final
            product = scratch / "product"
            product.mkdir()
            build(product, scratch)
            for old in self.path.glob(f"{name}-" + "[0-9a-f]" * 16):
                shutil.rmtree(old, ignore_errors=True)
            product.rename(final)
        return final

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Gives a temporary directory on the cache's own disk."""
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=self.path) as directory:
            yield Path(directory)

    @contextmanager
    def lock(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Holds the lab for one run at a time; its hosts build together.

        Args:
            waiting: Called once if somebody else holds it.
        """
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def sweep(self) -> None:
        """Removes scratch directories that a killed run left; call it with the lock held."""
        for stale in self.path.glob("scratch-*"):
            shutil.rmtree(stale, ignore_errors=True)
