# SPDX-License-Identifier: MIT
"""How a stand-in for a C library is made: methods behind C prototypes.

A call converts each argument as cffi does for the declared type, so that a wrong type or
range fails here as it would on the real library. A method that raises `Refused` returns -1
or NULL and sets `ffi.errno`, as the libraries do.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence, Tuple

from xenvcpu._xen import ffi
from xenvcpu.model.answer import Refused
from xenvcpu.model.faults import RealCall
from xenvcpu.rules.release import Since

if TYPE_CHECKING:
    from xenvcpu.model.libraries import ModelLibraries

_BYTES_FOR = frozenset(("char", "unsigned char", "signed char", "uint8_t", "int8_t", "void"))

_ERROR = 8
"""XTL_ERROR."""

_LOGGING = frozenset(("struct xentoollog_logger", "FILE"))
_CLOSING = frozenset((
    "xc_interface_close", "xencall_close", "xenforeignmemory_close", "xs_close", "xtl_logger_destroy",
    "xc_cpu_policy_destroy",
))
_GIVING_BACK = _CLOSING | {"xencall_free_buffer", "xenforeignmemory_unmap", "xenforeignmemory_unmap_resource"}


class MisuseError(AssertionError):
    """A call that would crash the program, or corrupt its memory, with the real library."""


def address(pointer: Any) -> int:
    """The address that a C pointer holds."""
    return int(ffi.cast("uintptr_t", pointer))


@functools.lru_cache(maxsize=None)
def _pointer_to(ctype: str) -> Any:
    return ffi.typeof(f"{ctype} *")


def _convert(ctype: Any, value: object) -> Any:
    """A value as the C function gets it; raises what cffi raises for a wrong one."""
    if value is None:
        raise TypeError(f"initializer for ctype '{ctype.cname}' must be a value of that type, not NoneType")
    if ctype.kind == "pointer":
        item = ctype.item.cname
        if isinstance(value, bytes) and item.replace("const ", "") in _BYTES_FOR:
            return ffi.cast(ctype, ffi.from_buffer(value))
        if isinstance(value, (list, tuple)) and ctype.item.kind != "void":
            return ffi.new(f"{item}[]", value)
    return ffi.new(_pointer_to(ctype.cname), value)[0]


class Prototype:
    """A method of a stand-in that is called through its C prototype.

    Attributes:
        declaration: The prototype as a type, `int(*)(xc_interface *, uint32_t)`.
        name: The C function.
        releases: The releases whose library has it: those that are in all of these.
    """

    def __init__(self, declaration: str, releases: Tuple[Since, ...], method: Callable[..., Any]) -> None:
        self.declaration = declaration
        self.releases = releases
        self.name = method.__name__
        self._method = method
        self.__doc__ = method.__doc__

    @functools.cached_property
    def ctype(self) -> Any:
        """The cffi type of the function."""
        return ffi.typeof(self.declaration)

    @functools.cached_property
    def takes_handle(self) -> bool:
        """Whether it is called on an open handle of a library of Xen's."""
        first = next(iter(self.ctype.args), None)
        return first is not None and first.kind == "pointer" and first.item.cname not in _LOGGING

    @property
    def gives_back(self) -> bool:
        """Whether it closes, frees or unmaps something."""
        return self.name in _GIVING_BACK

    @property
    def reaches_xen(self) -> bool:
        """Whether Xen is asked, and not the library alone: to open and to close it needs no Xen."""
        return self.takes_handle and self.name not in _CLOSING

    def __get__(self, library: Optional[StandIn], owner: type) -> Any:
        if library is None:
            return self
        if not all(library.libraries.host.release in each for each in self.releases):
            raise ffi.error(f"symbol '{self.name}' not found in library '{library.name}'")
        return functools.partial(self._call, library)

    def _arguments(self, given: Sequence[object]) -> Tuple[Any, ...]:
        wanted = self.ctype.args
        if len(given) != len(wanted) and not (self.ctype.ellipsis and len(given) > len(wanted)):
            raise TypeError(f"{self.name}() expects {len(wanted)} arguments, got {len(given)}")
        return tuple(map(_convert, wanted, given)) + tuple(given[len(wanted) :])

    def _call(self, library: StandIn, *given: object) -> Any:
        arguments = self._arguments(given)
        if not library.libraries.is_killed:
            library.libraries.note(self.name, arguments)
        call = RealCall(arguments, functools.partial(self._answer, library, arguments))
        try:
            result = library.libraries.answer(self, call)
        except Refused as refusal:
            result = None
            library.log(arguments, refusal.log)
            ffi.errno = refusal.errno
        return self._returned(result)

    def _answer(self, library: StandIn, arguments: Tuple[Any, ...]) -> Any:
        """What the method answers, with the host as it is now."""
        if not self.reaches_xen:
            return self._method(library, *arguments)
        try:
            library.libraries.before_call()
            return self._method(library, *arguments)
        finally:
            library.libraries.after_call()

    def _returned(self, result: Any) -> Any:
        kind = self.ctype.result.kind
        if kind == "void":
            return None
        if kind == "pointer":
            return ffi.cast(self.ctype.result, 0 if result is None else result)
        if result is None:
            result = 0 if self.ctype.result.cname.startswith("unsigned") else -1
        return int(ffi.cast(self.ctype.result, result))


def prototype(declaration: str, *releases: Since) -> Callable[[Callable[..., Any]], Prototype]:
    """Give a method of a stand-in its C prototype, and the releases whose library has the function."""
    return functools.partial(Prototype, declaration, releases)


class StandIn:
    """A stand-in for one C library: its functions are attributes, as those of a real one.

    Attributes:
        libraries: All stand-ins of the model, with the host behind them.
    """

    name = ""

    def __init__(self, libraries: ModelLibraries) -> None:
        self.libraries = libraries
        self._handles: Dict[int, Any] = {}
        self._loggers: Dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"cffi library '{self.name}' has no function, constant or global variable named '{name}'")

    def _open(self, ctype: str, state: object = None, logger: Any = None) -> Any:
        """A new handle: an address that nobody may look into; what goes wrong on it is logged to `logger`."""
        memory = ffi.new("char[16]")
        self._handles[address(memory)] = (memory, state)
        self._loggers[address(memory)] = logger
        return ffi.cast(ctype, memory)

    def log(self, arguments: Tuple[Any, ...], line: str) -> None:
        """Log a line to the logger of the handle that a call was made on; or to that which it was to open with."""
        if line and arguments and not isinstance(arguments[0], int):
            logger = self._loggers.get(address(arguments[0])) or arguments[0]
            self.libraries.xentoollog.write(logger, _ERROR, line)

    def _state(self, handle: Any) -> Any:
        """What a handle stands for.

        Raises:
            MisuseError: It is NULL, closed, or of another library.
        """
        found = self._handles.get(address(handle))
        if found is None:
            raise MisuseError(f"{self.name}: {handle!r} is not an open handle; the real library would crash")
        return found[1]

    def _close(self, handle: Any) -> None:
        self._state(handle)
        del self._handles[address(handle)], self._loggers[address(handle)]

    @property
    def open_handles(self) -> int:
        """How many handles are open: a program that cleans up leaves none."""
        return len(self._handles)

    @classmethod
    def prototypes(cls) -> Dict[str, Prototype]:
        """The functions of the library, by name."""
        return {name: value for name, value in vars(cls).items() if isinstance(value, Prototype)}
