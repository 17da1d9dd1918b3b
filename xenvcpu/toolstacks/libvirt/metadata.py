# SPDX-License-Identifier: MIT
"""A declaration as an element of a domain's XML `<metadata>`, in a namespace of our own.

    <xenvcpu:declaration xmlns:xenvcpu="urn:xenvcpu:declaration:1" vcpus="1-3" reset="no">
      <xenvcpu:context>preset = "flat32"</xenvcpu:context>
      <xenvcpu:set key="eip">0x100000</xenvcpu:set>
    </xenvcpu:declaration>

What is read here was written by others. There is no entity but XML's own five, since a document type is
refused before anything is parsed; size, depth and number of elements are bounded; and an element or
attribute that is not ours is an error.
"""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as xml
from typing import Dict, List, NamedTuple, Optional, Union

from xenvcpu.contextfile.bounds import cut, shown
from xenvcpu.errors import FormatError
from xenvcpu.toolstacks.configured import Configured
from xenvcpu.toolstacks.declaration import Declaration, DeclarationError
from xenvcpu.toolstacks.libvirt import configuration
from xenvcpu.toolstacks.libvirt.namespace import ELEMENT, FAMILY, MAX_SIZE, NAMESPACE

MAX_DEPTH = 64
MAX_ELEMENTS = 1 << 16

_YES = {"yes": True, "no": False}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class DeclaredDomain(NamedTuple):
    """What a domain's XML says of it.

    Attributes:
        uuid: Its UUID, which is Xen's handle too.
        name: Its name.
        declaration: How its vcpus start, or None.
        has_firmware: Whether hvmloader runs in it before its own software.
    """

    uuid: uuid.UUID
    name: str
    declaration: Optional[Declaration]
    has_firmware: bool = False


def to_xml(declared: Declaration) -> str:
    """The element without its namespace, which libvirt gives it.

    Raises:
        DeclarationError: XML has no way to write a character of it.
    """
    text = declared.context.replace("\r\n", "\n")
    strange = _NOT_XML.search(text)
    if strange is not None:
        raise DeclarationError(
            f"{declared.name}: context: XML has no way to write the character {strange[0]!r}", field="context",
            rule="syntax", remedy="leave it out, or escape it",
        )
    root = xml.Element(ELEMENT, vcpus=declared.vcpus, reset="yes" if declared.reset else "no")
    xml.SubElement(root, "context").text = text
    for key, value in declared.settings.items():
        xml.SubElement(root, "set", key=key).text = value
    return xml.tostring(root, encoding="unicode")


def from_xml(text: str, name: str) -> Declaration:
    """Read the element as libvirt gives it: without a namespace.

    Raises:
        FormatError: Not XML, or beyond the bounds.
        ContextFileError: Not a declaration.
    """
    return _declaration(_parse(text, name), name, "")


def read_domain(text: Union[str, bytes]) -> DeclaredDomain:
    """Read the XML of a whole domain.

    Raises:
        FormatError: Not XML, beyond the bounds, or not a domain.
        ContextFileError: Its declaration is wrong, or there are several, or it is a newer xenvcpu's.
    """
    root = _parse(text, "domain XML")
    name = cut(root.findtext("name") or "")
    try:
        handle = uuid.UUID((root.findtext("uuid") or "").strip())
    except ValueError as error:
        raise FormatError("domain XML: it has no UUID") from error
    if root.tag != "domain" or not name:
        raise FormatError("domain XML: not a domain with a name")
    ours = [element for element in root.iterfind("metadata/*") if element.tag.startswith(f"{{{FAMILY}")]
    if not ours:
        return DeclaredDomain(handle, name, None, _has_firmware(root))
    if len(ours) > 1:
        raise DeclarationError(f"{name}: it has {len(ours)} declarations", rule="duplicate")
    return DeclaredDomain(handle, name, _declaration(ours[0], name, f"{{{NAMESPACE}}}"), _has_firmware(root))


def has_firmware(text: str) -> bool:
    """Whether hvmloader runs in the domain of that XML before its own software.

    Raises:
        FormatError: Not XML, or beyond the bounds.
    """
    return _has_firmware(_parse(text, "domain XML"))


def configured(text: str) -> Configured:
    """What the XML of a domain says of what its vcpus may do.

    Raises:
        FormatError: Not XML, or beyond the bounds.
    """
    return configuration.configured(_parse(text, "domain XML"))


def _has_firmware(root: xml.Element) -> bool:
    # Xen's PVH is `xenpvh` there, its PV `linux` or `xen`; a libvirt driver that is not Xen's calls everything hvm.
    return root.get("type") == "xen" and (root.findtext("os/type") or "").strip() == "hvm"


def _declaration(root: xml.Element, name: str, space: str) -> Declaration:
    if root.tag != f"{space}{ELEMENT}":
        raise DeclarationError(
            f"{name}: {cut(root.tag)} is not a declaration that this xenvcpu reads", rule="schema",
            remedy=f"it reads {ELEMENT} of {NAMESPACE}",
        )
    _only(root, name, {"vcpus", "reset"}, is_text=False)
    contexts: List[str] = []
    settings: Dict[str, str] = {}
    for child in root:
        if child.tag == f"{space}context":
            _only(child, name, set(), is_text=True)
            contexts.append(child.text or "")
        elif child.tag == f"{space}set":
            _only(child, name, {"key"}, is_text=True)
            key = child.get("key", "")
            if key in settings:
                raise DeclarationError(f"{name}: {cut(key)} is set twice", field=cut(key), rule="duplicate")
            settings[key] = (child.text or "").strip()
        else:
            raise DeclarationError(f"{name}: no such element: {cut(child.tag)}", rule="unknown-key")
    if len(contexts) != 1:
        raise DeclarationError(f"{name}: it has {len(contexts)} contexts, not one", field="context", rule="type")
    reset = root.get("reset", "no")
    if reset not in _YES:
        raise DeclarationError(f"{name}: reset: {shown(reset)} is not yes or no", field="reset", rule="type")
    return Declaration(contexts[0], root.get("vcpus", "all"), settings, _YES[reset], name)


def _only(element: xml.Element, name: str, attributes: set[str], *, is_text: bool) -> None:
    """An element has these attributes, and either text or elements."""
    what = cut(element.tag.rpartition("}")[2])
    for key in element.keys():
        if key not in attributes:
            raise DeclarationError(f"{name}: {what} has no attribute {cut(key)}", field=cut(key), rule="unknown-key")
    if is_text and len(element):
        raise DeclarationError(f"{name}: {what} holds text, not elements", field=what, rule="type")
    loose = [] if is_text else [element.text, *(child.tail for child in element)]
    if any((text or "").strip() for text in loose):
        raise DeclarationError(f"{name}: {what} holds elements, not text", field=what, rule="type")


class _Bounded(xml.TreeBuilder):
    """A tree that does not grow without bounds."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._depth = self._count = 0

    def start(self, tag: str, attrs: Dict[str, str]) -> xml.Element:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise FormatError(f"{self._name}: more than {MAX_DEPTH} deep, or than {MAX_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: str) -> xml.Element:
        self._depth -= 1
        return super().end(tag)


def _parse(text: Union[str, bytes], name: str) -> xml.Element:
    if len(text) > MAX_SIZE:
        raise FormatError(f"{name}: larger than {MAX_SIZE} bytes", offset=MAX_SIZE)
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8")
        # Outside of comments and CDATA, which libvirt does not write, this is a document type and nothing else.
        if "<!DOCTYPE" in plain:
            raise FormatError(f"{name}: a document type, which could define entities; libvirt writes none")
        parser = xml.XMLParser(target=_Bounded(name))
        parser.feed(plain)
        found: xml.Element = parser.close()
    except FormatError:
        raise
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: not UTF-8", offset=error.start) from error
    except (xml.ParseError, ValueError) as error:
        raise FormatError(f"{name}: not XML: {cut(str(error))}") from error
    return found
