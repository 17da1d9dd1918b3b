# SPDX-License-Identifier: MIT
"""The watcher: it listens to libvirt, and starts the declared vcpus of each domain that boots.

It runs beside libvirt, not in it: nothing waits for it, and what fails is tried again. So a domain runs for
a moment without its secondary vcpus, as with the hook; `xenvcpu libvirt start` is without that moment.
"""

from __future__ import annotations

import math
import select
import signal
import socket
import time
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, Optional
from uuid import UUID

from xenvcpu.errors import ContextError, FormatError, HostError, LibraryMissingError, NoSuchDomainError, XenVcpuError
from xenvcpu.toolstacks import firmware
from xenvcpu.toolstacks.applying import Change
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.libvirt.attempts import Attempts, delay_after
from xenvcpu.toolstacks.libvirt.begin import sentence
from xenvcpu.toolstacks.libvirt.connection import Connection, require_local
from xenvcpu.toolstacks.libvirt.library import library, told
from xenvcpu.toolstacks.libvirt.log import ERROR, INFO, WARNING, Log
from xenvcpu.toolstacks.libvirt.notify import notify

IDENT = "xenvcpu-libvirt"
KEEPALIVE = (5, 3)
"""libvirt's daemon is asked every so many seconds, and is gone after so many questions without an answer."""

Begin = Callable[[UUID, Declaration], Optional[Change]]
"""Starts the declared vcpus of the domain with that handle; see `xenvcpu.toolstacks.libvirt.begin`."""


@lru_cache(maxsize=None)
def _event_loop() -> Any:
    """libvirt's own event loop, which must be there before a connection is."""
    with told("libvirt's event loop"):
        library().virEventRegisterDefaultImpl()
    return library()


class Watcher:
    """Listens until it is stopped.

    Synchronization: for one thread; `stop` may be called from any, and from a signal handler.
    """

    def __init__(
        self, uri: Optional[str], begin: Begin, log: Log, *, with_running: bool = False,
        tell: Callable[..., None] = notify, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is opened yet.

        Args:
            uri: libvirt's; its own choice if None.
            begin: Starts vcpus.
            log: Where to tell it.
            with_running: Whether domains that run already when it connects are looked at too.
            tell: Tells systemd.
            clock: In seconds.
        """
        self._uri = uri
        self._begin = begin
        self._log = log
        self._with_running = with_running
        self._tell = tell
        self._clock = clock
        self._attempts = Attempts()
        # With the number that it has until it ends: vcpus that are stopped by hand later look fresh.
        self._done: Dict[UUID, int] = {}
        self._is_stopped = self._is_lost = False
        self._awake, self._wake = socket.socketpair()
        self._awake.setblocking(False)
        self._wake.setblocking(False)

    def stop(self) -> None:
        """End soon: what has begun is brought to its end."""
        self._is_stopped = True
        with suppress(OSError):
            self._wake.send(b"\0")

    def close(self) -> None:
        """Give back what it holds, once `run` has returned."""
        self._awake.close()
        self._wake.close()

    @property
    def wake_descriptor(self) -> int:
        """A byte that is written there wakes it, as Python does for a signal."""
        return self._wake.fileno()

    def run(self) -> None:
        """Listen, and connect again whenever libvirt has gone.

        Raises:
            LibraryMissingError: libvirt-python is not installed.
            HostError: The URI leads to another machine.
        """
        require_local(self._uri)
        _event_loop()
        failures = 0
        while not self._is_stopped:
            try:
                connection = Connection(self._uri)
            except LibraryMissingError:
                raise
            except HostError as error:
                failures += 1
                delay = delay_after(failures)
                self._log.write(WARNING, f"{error}; again in {delay:g} s")
                select.select([self._awake], [], [], delay)
                continue
            failures = 0
            with connection:
                require_local(connection.uri)  # libvirt's own choice
                try:
                    self._serve(connection)
                except XenVcpuError as error:
                    self._log.write(WARNING, str(error))
                    select.select([self._awake], [], [], delay_after(1))
        self._tell("STOPPING=1")

    def _serve(self, connection: Connection) -> None:
        module = library()
        self._is_lost = False
        with self._listening(connection) as timer:
            if self._with_running:
                with told("listing domains"):
                    for raw in connection.raw.listAllDomains(module.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                        self._attempts.look(UUID(raw.UUIDString()), self._clock())
            self._log.write(INFO, f"listening to {connection.uri}")
            self._tell("READY=1", f"STATUS=Listening to {connection.uri}")
            while True:
                self._work(connection)
                if self._is_stopped or self._is_lost:
                    break
                module.virEventUpdateTimeout(timer, self._milliseconds())
                with told("libvirt's event loop"):
                    module.virEventRunDefaultImpl()
        if self._is_lost:
            self._log.write(WARNING, "libvirt has gone; connecting again")

    @contextmanager
    def _listening(self, connection: Connection) -> Iterator[int]:
        """The event loop with all that wakes us; yields its timer."""
        module, raw = library(), connection.raw
        with told("listening to libvirt"):
            number = raw.domainEventRegisterAny(None, module.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None)
        with suppress(module.libvirtError):  # a connection without a daemon cannot be lost
            raw.registerCloseCallback(self._on_close, None)
            raw.setKeepAlive(*KEEPALIVE)
        handle = module.virEventAddHandle(
            self._awake.fileno(), module.VIR_EVENT_HANDLE_READABLE, self._on_awake, None
        )
        timer = module.virEventAddTimeout(-1, lambda timer, opaque: None, None)
        try:
            yield timer
        finally:
            module.virEventRemoveTimeout(timer)
            module.virEventRemoveHandle(handle)
            with suppress(module.libvirtError):
                raw.unregisterCloseCallback()
            with suppress(module.libvirtError):
                raw.domainEventDeregisterAny(number)

    def _on_event(self, raw: Any, domain: Any, event: int, detail: int, opaque: object) -> None:
        """Only note it: libvirt must not be asked much from inside its event loop."""
        module, handle = library(), UUID(domain.UUIDString())
        if event == module.VIR_DOMAIN_EVENT_STARTED and detail == module.VIR_DOMAIN_EVENT_STARTED_BOOTED:
            self._attempts.add(handle, self._clock())
        elif event == module.VIR_DOMAIN_EVENT_STARTED:
            # It goes on from a saved state: its vcpus have begun.
            self._attempts.drop(handle)
            self._done[handle] = domain.ID()
        elif event in (module.VIR_DOMAIN_EVENT_STOPPED, module.VIR_DOMAIN_EVENT_CRASHED):
            # At a reboot libvirt says so after it said that the domain has started again (libxlDomainShutdownThread),
            # so that only a look tells whether it is gone.
            self._attempts.look(handle, self._clock())

    def _on_close(self, raw: Any, reason: int, opaque: object) -> None:
        self._is_lost = True

    def _on_awake(self, watch: int, descriptor: int, events: int, opaque: object) -> None:
        with suppress(OSError):
            self._awake.recv(4096)

    def _milliseconds(self) -> int:
        """Until something is due; -1 is for ever."""
        due = self._attempts.next
        return -1 if due is None else max(0, math.ceil((due - self._clock()) * 1000))

    def _work(self, connection: Connection) -> None:
        for handle in self._attempts.due(self._clock()):
            if self._is_stopped:
                return
            self._try(connection, handle)

    def _try(self, connection: Connection, handle: UUID) -> None:
        name = f"domain {handle}"
        try:
            try:
                domain = connection.domain(handle)
            except NoSuchDomainError:
                self._forget(handle)
                return
            if not domain.is_active:
                self._forget(handle)
                return
            if self._done.get(handle) == domain.raw.ID():
                self._attempts.drop(handle)
                return
            name = f"domain {domain.name} ({handle})"
            declared = domain.declaration(library().VIR_DOMAIN_AFFECT_LIVE)
            if declared is not None and domain.has_firmware:
                self._log.write(ERROR, f"{name}: {firmware.refusal(domain.name)}")
            elif declared is not None:
                self._log.write(INFO, f"{name}: {sentence(self._begin(handle, declared))}")
        except (ContextError, FormatError) as error:
            self._log.write(ERROR, f"{name}: {error}")
        except XenVcpuError as error:
            delay = self._attempts.put_off(handle, self._clock())
            then = "given up" if delay is None else f"again in {delay:g} s"
            self._log.write(ERROR if delay is None else WARNING, f"{name}: {error}; {then}")
            for line in error.left:
                self._log.write(ERROR, f"{name}: {line}")
            return
        self._attempts.drop(handle)
        self._done[handle] = domain.raw.ID()

    def _forget(self, handle: UUID) -> None:
        """It has ended."""
        self._attempts.drop(handle)
        self._done.pop(handle, None)


@contextmanager
def stopped_by_signals(watcher: Watcher) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP stop a watcher. The main thread's only: the event loop is woken by the socket."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: watcher.stop()) for number in numbers}
    # The handler itself runs only when the interpreter does, and libvirt's loop goes on after a signal.
    woken = signal.set_wakeup_fd(watcher.wake_descriptor, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
