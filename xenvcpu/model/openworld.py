# SPDX-License-Identifier: MIT
"""A world file that is open: one Xen that several processes drive at a time, each through its own stand-ins.

One C call is one turn. It takes the file's lock, takes over what other processes have
changed since, does the call, writes the file if the host has changed, and gives the lock
back: between two calls nobody holds anything, and a process that is killed at any instant
has done a call or has not. A call whose result cannot be written has not been.

What is done to `host` past the C calls goes into the file with the next one, or at `close`;
it is lost if another process comes first.
The clock goes on from whichever is later, the file's or this process's own, and so does the TSC
of a domain's last full save. Time that only questions took is not written, so two processes agree
on it no closer than that; a program that only asks needs no right to write.
"""

from __future__ import annotations

from xenvcpu.model import worldfile
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.sharedfile import SharedFile


class OpenWorld:
    """A world file that this process has open, among others.

    Attributes:
        path: The file, with no symbolic link in it.
        host: The host as of this process's last turn; after a turn in which it was read again, another object.

    Synchronization: for one thread.
    """

    def __init__(self, path: str) -> None:
        """Read it, without waiting for anybody.

        Raises:
            WorldFileError: The file holds no world.
            OSError: It cannot be read.
        """
        self._file = SharedFile(path)
        self.path = self._file.path
        try:
            self.host = worldfile.from_bytes(self._file.read(), path)
        except BaseException:
            self._file.close()
            raise
        self._saved = self.host.changes

    def begin(self) -> Hypervisor:
        """Begin a turn: wait for that of another process to end, and see the host as that left it.

        Raises:
            WorldFileError: Another process has made something else of the file.
            OSError: It is not there any more.
        """
        try:
            self._file.lock()
            if not self._file.is_known:
                self._take_over(worldfile.from_bytes(self._file.read(), self.path))
        except BaseException:
            self._file.forget()
            self._file.unlock()
            raise
        return self.host

    def _take_over(self, host: Hypervisor) -> None:
        host.clock.tsc = max(host.clock.tsc, self.host.clock.tsc)
        for domid, domain in host.domains.items():
            ours = self.host.domains.get(domid)
            if ours is not None and ours.handle == domain.handle:
                domain.sync_tsc = max(domain.sync_tsc, ours.sync_tsc)
        host.hypercalls = self.host.hypercalls
        self.host, self._saved = host, host.changes

    def end(self) -> None:
        """End the turn, and write the host if it has changed; nothing if none has begun.

        Raises:
            OSError: It cannot be written: it is read again in the next turn.
        """
        if not self._file.is_locked:
            return
        try:
            if self.host.changes != self._saved:
                self._save()
        finally:
            self._file.unlock()

    def _save(self) -> None:
        try:
            self._file.write(worldfile.to_bytes(self.host))
        except BaseException:
            self._file.forget()
            raise
        self._saved = self.host.changes

    @property
    def is_saved(self) -> bool:
        """Whether the file has all that was done to the host here."""
        return self.host.changes == self._saved

    def close(self) -> None:
        """Write what is not yet in the file, and leave it; a second time does nothing."""
        try:
            if not self.is_saved:
                self.begin()
                self.end()
        finally:
            self._file.close()
