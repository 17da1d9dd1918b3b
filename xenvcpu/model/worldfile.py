# SPDX-License-Identifier: MIT
"""A host in a JSON file, so that it lives on from one command to the next.

Everything is in it but what can be made again: registers under their C names (those that
are not zero), other save records and memory pages packed (zlib, base64). The file is
replaced as a whole (`sharedfile`); `openworld` is how processes share it while they run.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
import zlib
from dataclasses import replace
from typing import Any, Dict, Mapping, Sequence, Tuple

from xenvcpu.abi import cpu_record, save_stream, xsave
from xenvcpu.abi.save_stream import Record
from xenvcpu.errors import ContextError, FormatError, XenVcpuError
from xenvcpu.model import worlds
from xenvcpu.model.clock import Clock
from xenvcpu.model.console import Console
from xenvcpu.model.domain import Domain, Kind
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.memory import PAGE, Memory
from xenvcpu.model.sharedfile import SharedFile
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release

SCHEMA = 1
_MESSAGE_MAX = 200

_Types = Mapping[str, Tuple[type, ...]]
_FLAG, _NUMBER, _MAYBE = (bool,), (int,), (int, type(None))
_VCPU: _Types = {
    **dict.fromkeys(
        ("is_initialised", "is_down", "is_blocked", "has_entered", "has_vcpu_info", "is_vcpu_info_registered"), _FLAG
    ),
    **dict.fromkeys(("tsc_offset", "pause_count", "cpu_time", "runs"), _NUMBER),
}
_DOMAIN: _Types = {
    "name": (str,), "shutdown": _MAYBE,
    **dict.fromkeys(("is_dying", "is_hap", "is_privileged", "has_lapic", "is_privcmd_restricted"), _FLAG),
    **dict.fromkeys(("domid", "pause_count", "sync_tsc", "tsc_khz", "vm_assist"), _NUMBER),
}
_PAGES: _Types = {"pages": _NUMBER}
_FEATURES: _Types = dict.fromkeys(("cr4_valid", "efer_valid", "maxphysaddr"), _MAYBE)
_CLOCK: _Types = dict.fromkeys(("tsc", "khz", "step"), _NUMBER)
_HOST: _Types = {
    **dict.fromkeys(("xfeature_mask", "console_produced", "console_cleared"), _NUMBER),
    **dict.fromkeys(("xen", "vendor", "console"), (str,)),
    "is_debug_build": _FLAG,
}
_VENDORS = ("intel", "amd")
_MOST = {"domid": 0x7FF0 - 1, "pause_count": 255, "maxphysaddr": 52, "khz": 1 << 32, "tsc_khz": 1 << 32}
_MOST_NUMBER = (1 << 64) - 1
_MOST_PAGES = 1 << 22
_MOST_VCPUS = 8192
_MOST_BYTES, _MOST_BYTES_IN_ALL = 1 << 24, 1 << 28
"""What one packed value, and all those of a file, can hold unpacked."""


_DAMAGES = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, zlib.error, XenVcpuError,
    OSError, MemoryError,  # a guest with more memory than this machine can give
)


class WorldFileError(FormatError):
    """A file is not a world: the message names it and what is wrong."""


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 1)).decode("ascii")


class _Unpacking:
    """Takes the packed values of one file apart. Each might be small, and hold a thousand times as much."""

    def __init__(self) -> None:
        self._left = _MOST_BYTES_IN_ALL

    def __call__(self, text: str) -> bytes:
        """The bytes of one value.

        Raises:
            ValueError: It ends too early, or the file holds too much.
        """
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), _MOST_BYTES)
        if not unpacker.eof:
            raise ValueError(f"a packed value ends too early, or is of more than {_MOST_BYTES} bytes")
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"the packed values are of more than {_MOST_BYTES_IN_ALL} bytes in all")
        return data


def _values(of: object, types: _Types) -> Dict[str, Any]:
    return {name: getattr(of, name) for name in types}


def _checked(found: Mapping[str, Any], types: _Types) -> Dict[str, Any]:
    """The values of these names.

    Raises:
        KeyError: One is missing.
        TypeError: One is of another type.
        ValueError: One is a number that it cannot be.
    """
    for name, kinds in types.items():
        value = found[name]
        if type(value) not in kinds:
            raise TypeError(f"{name} is {value!r}")
        if type(value) is int:
            _require(name, value, _MOST.get(name, _MOST_NUMBER))
    return {name: found[name] for name in types}


def _require(name: str, value: int, most: int, least: int = 0) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, not {least} to {most}")


def _vcpu_to_json(vcpu: Vcpu) -> Dict[str, Any]:
    image = vcpu.image
    found = _values(vcpu, _VCPU)
    found["cpu"] = {name: hex(value) for name, value in image.values.items() if value}
    if any(image.rest):
        found["fpu_regs"] = _packed(image.rest)
    if vcpu.xsave is not None:
        found["xsave"] = _packed(vcpu.xsave)
    found["records"] = _packed(save_stream.join(Record(code, vcpu.vcpuid, data) for code, data in vcpu.records.items()))
    return found


def _split(data: bytes) -> Tuple[Record, ...]:
    return save_stream.split(data + save_stream.join((save_stream.END,))).records[:-1]


def _vcpu_from_json(vcpuid: int, found: Dict[str, Any], unpacked: _Unpacking) -> Vcpu:
    found = {"is_blocked": found["has_entered"], **found}  # not in the files of older versions
    vcpu = Vcpu(vcpuid, **_checked(found, _VCPU))
    image = cpu_record.LAYOUT.image({name: int(text, 16) for name, text in found["cpu"].items()})
    vcpu.image = replace(image, rest=unpacked(found["fpu_regs"])) if "fpu_regs" in found else image
    vcpu.xsave = xsave.decode(unpacked(found["xsave"])).pack() if "xsave" in found else None
    vcpu.records = {record.typecode: record.payload for record in _split(unpacked(found["records"]))}
    return vcpu


def _domain_to_json(domain: Domain) -> Dict[str, Any]:
    records = (Record(code, instance, data) for (code, instance), data in domain.records.items())
    return {
        **_values(domain, _DOMAIN), "kind": domain.kind.value, "handle": str(domain.handle),
        "features": _values(domain.features, _FEATURES),
        "records": _packed(save_stream.join(records)), "offline": domain.offline,
        "pages": domain.memory.size,
        "memory": {hex(frame): _packed(page) for frame, page in domain.memory.pages.items()},
        "vcpus": [_vcpu_to_json(vcpu) for vcpu in domain.vcpus],
    }


def _domain_from_json(found: Dict[str, Any], unpacked: _Unpacking) -> Domain:
    pages, vcpus = _checked(found, _PAGES)["pages"], found["vcpus"]
    _require("pages", pages, _MOST_PAGES)
    _require("number of vcpus", len(vcpus), _MOST_VCPUS)
    values = _checked(found, _DOMAIN)
    values["name"].encode("utf-8", "surrogateescape")  # as xenstore will have it
    memory = Memory(pages)
    for frame, page in found["memory"].items():
        memory.write(int(frame, 16) * PAGE, unpacked(page))
    offline = found.get("offline", [])
    for vcpuid in offline:
        _checked({"offline": vcpuid}, {"offline": _NUMBER})
    records = {(record.typecode, record.instance): record.payload for record in _split(unpacked(found["records"]))}
    return Domain(
        **values, kind=Kind(found["kind"]), handle=uuid.UUID(found["handle"]),
        records=records, memory=memory, offline=list(offline),
        features=Features(**_checked(found["features"], _FEATURES)),
        vcpus=[_vcpu_from_json(vcpuid, each, unpacked) for vcpuid, each in enumerate(vcpus)],
    )


def to_json(host: Hypervisor) -> Dict[str, Any]:
    """The whole host as JSON values."""
    return {
        "schema": SCHEMA, "xen": str(host.release), "vendor": host.vendor, "xfeature_mask": host.xfeature_mask,
        "is_debug_build": host.is_debug_build,
        "clock": _values(host.clock, _CLOCK),
        "console": host.console.text, "console_produced": host.console.produced,
        "console_cleared": host.console.cleared,
        "domains": [_domain_to_json(domain) for domain in host.domains.values()],
    }


def _from_json(found: Dict[str, Any]) -> Hypervisor:
    found = {"is_debug_build": False, **found}  # not in the files of older versions
    _checked(found, _HOST)
    if found["vendor"] not in _VENDORS:
        raise ValueError(f"vendor is {found['vendor']!r}, not one of {', '.join(_VENDORS)}")
    unpacked = _Unpacking()
    domains = [_domain_from_json(each, unpacked) for each in found["domains"]]
    if len({domain.domid for domain in domains}) < len(domains):
        raise ValueError("two domains have one domid")
    _require("khz", found["clock"]["khz"], _MOST["khz"], 1)
    host = Hypervisor(
        Release.parse(found["xen"]), domains, vendor=found["vendor"], xfeature_mask=found["xfeature_mask"],
        is_debug_build=found["is_debug_build"], clock=Clock(**_checked(found["clock"], _CLOCK)),
    )
    host.console = Console(found["console"])
    host.console.produced, host.console.cleared = found["console_produced"], found["console_cleared"]
    return host


def _cut(message: str) -> str:
    """The beginning of a message: a value in it may be all of the file."""
    return message if len(message) <= _MESSAGE_MAX else f"{message[:_MESSAGE_MAX]}..."


def from_json(found: Any, path: str = "") -> Hypervisor:
    """The host that JSON values hold.

    Raises:
        WorldFileError: They hold none.
    """
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise WorldFileError(f"{path}: not a world of schema {SCHEMA} (schema: {_cut(repr(schema))})")
    try:
        return _from_json(found)
    except _DAMAGES as error:
        raise WorldFileError(f"{path}: a damaged world: {type(error).__name__}: {_cut(str(error))}") from error


def to_bytes(host: Hypervisor) -> bytes:
    """The whole host as a file holds it."""
    return json.dumps(to_json(host), separators=(",", ":")).encode("ascii")


def from_bytes(data: bytes, path: str = "") -> Hypervisor:
    """The host that a file's bytes hold.

    Raises:
        WorldFileError: They hold none.
    """
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise WorldFileError(f"{path}: not JSON: {error}") from error
    return from_json(found, path)


def save(host: Hypervisor, path: str) -> None:
    """Write a host to a file, which is replaced as a whole.

    Raises:
        OSError: It cannot be written.
    """
    file = SharedFile(path)
    try:
        if os.path.exists(path):
            file.lock()
        file.write(to_bytes(host))
    finally:
        file.close()


def load(path: str) -> Hypervisor:
    """Read a host from a file, also while others have it open.

    Raises:
        WorldFileError: The file holds none.
        OSError: It cannot be read.
    """
    file = SharedFile(path)
    try:
        return from_bytes(file.read(), path)
    finally:
        file.close()


def new(path: str, release: str = "4.17", domains: Sequence[Tuple[str, int]] = (("web", 4),)) -> Hypervisor:
    """Make a world file with PVH domains.

    Args:
        path: The file; it must not exist.
        release: The Xen of that host.
        domains: Name and number of vcpus of each.

    Raises:
        ContextError: The file exists; not a release; or a domain without vcpus, or with more than 128.
    """
    if os.path.exists(path):
        raise ContextError(f"{path} exists", field="file", value=path, remedy="give another name, or remove it")
    host = worlds.new(release, domains)
    save(host, path)
    return host
