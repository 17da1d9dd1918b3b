# SPDX-License-Identifier: MIT
"""The module libvirt, and its errors as our own. libvirt-python is an extra."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Iterator

from xenvcpu.errors import LibraryMissingError, NoSuchDomainError, XenVcpuError


class LibvirtError(XenVcpuError):
    """libvirt refused something.

    Attributes:
        code: Its VIR_ERR_*.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@lru_cache(maxsize=None)
def library() -> Any:
    """The module libvirt, made quiet: it prints errors on stderr otherwise.

    Raises:
        LibraryMissingError: It is not installed.
    """
    try:
        module = importlib.import_module("libvirt")
    except ImportError as error:
        raise LibraryMissingError(
            "this needs libvirt-python: apt install python3-libvirt, or pip install 'xenvcpu[libvirt]'"
        ) from error
    module.registerErrorHandler(lambda context, error: None, None)
    return module


@contextmanager
def told(what: str) -> Iterator[None]:
    """Errors of libvirt as our own.

    Raises:
        NoSuchDomainError: There is no such domain.
        LibvirtError: Anything else.
    """
    module = library()
    try:
        yield
    except UnicodeError as error:
        raise NoSuchDomainError(f"{what}: not UTF-8") from error
    except module.libvirtError as error:
        if error.get_error_code() == module.VIR_ERR_NO_DOMAIN:
            raise NoSuchDomainError(f"{what}: {error.get_error_message()}") from error
        raise LibvirtError(f"{what}: {error.get_error_message() or error}", error.get_error_code() or 0) from error
