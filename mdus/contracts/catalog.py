"""The catalog of messages: what stands in wsdl/ and xsd/, found by the name of a message's root.

The files are the source of truth. `catalog()` reads them once per process; schemas are compiled when first asked for.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import xmlschema
from lxml import etree

from mdus.contracts.wire_types import (
    FAULT_NAMESPACE,
    ROOT_NAMESPACE,
    TYPE_NAMESPACE,
    XSD,
    ContractFileError,
    WireType,
    read_types,
)
from mdus.settings import data_folder

WSDL: Final = "{http://schemas.xmlsoap.org/wsdl/}"
WSDL_SOAP: Final = "{http://schemas.xmlsoap.org/wsdl/soap/}"
HEADER_ELEMENT: Final = "MessageHeader"
LOG_ELEMENT: Final = "Log"
_FAULT_ROOT: Final = "StandardMessageFault"

#: Only one thread of a process compiles a schema at a time. lxml lets others run meanwhile, and libxml2 makes its
#: built-in types with the first schema, without a lock: two first schemas at once now and then leave the process unable
#: to compile any for the rest of its life.
_COMPILING: Final = threading.Lock()


class UnknownRoot(LookupError):
    """No message of the contract has this root element."""


class UnknownInterface(LookupError):
    """The contract has no interface of this name."""


class Direction(Enum):
    """Who sends a message."""

    RECEIVED = "received"
    """SAP sends it, MDUS receives it."""
    SENT = "sent"
    """MDUS sends it, SAP receives it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """A message of the contract, single or bulk.

    `interface` is SAP's name of the interface that carries it. A bulk repeats `item_element`, each a complete single
    message of type `item_type`; `single` is that message's own root where the contract has one.
    """

    name: str
    interface: str
    direction: Direction
    type: WireType
    item_element: str | None = None
    item_type: WireType | None = None
    single: str | None = None

    @property
    def tag(self) -> str:
        """Return the qualified name of the root element, as lxml writes it."""
        return f"{{{ROOT_NAMESPACE}}}{self.name}"

    @property
    def is_bulk(self) -> bool:
        """Return whether the message repeats complete single messages."""
        return self.item_element is not None

    @property
    def message_type(self) -> WireType:
        """Return the type that a service's shape is written for: that of one item of a bulk, else of the message."""
        return self.item_type or self.type


class Catalog:
    """All messages of the contract with their schemas. Safe to share between threads."""

    def __init__(self, *, wsdl: Path, xsd: Path) -> None:
        self._wsdl = wsdl
        self._xsd = xsd
        self.types: Mapping[str, WireType] = read_types(xsd)
        self._root_types = self._read_root_types()
        self.roots: Mapping[str, Root] = self._read_roots()
        self.interfaces: tuple[str, ...] = tuple(sorted(path.stem for path in wsdl.glob("*.wsdl")))
        self._schema_of = functools.cache(self._compile)
        self._explainer_of = functools.cache(self._compile_explainer)

    # -- finding a message ------------------------------------------------------------------------------------------

    def root(self, name: str) -> Root:
        """Return the message whose root element is `name`, with or without its namespace; else `UnknownRoot`."""
        local = name
        if name.startswith("{"):
            namespace, _, local = name[1:].partition("}")
            if namespace != ROOT_NAMESPACE:
                raise UnknownRoot(f"{name} is no message: a message's root is in the namespace {ROOT_NAMESPACE}")
        root = self.roots.get(local)
        if root is None:
            raise UnknownRoot(f"{local} is the root of no message of the contract")
        return root

    def received_by(self, interface: str) -> Root:
        """Return the message that the interface takes in; else `UnknownInterface`."""
        received = [root for root in self.roots.values() if root.interface == interface]
        if not received:
            raise UnknownInterface(f"the contract has no interface {interface}")
        # The query interface carries its answer too; what is sent into it is the query.
        return next((root for root in received if root.direction is Direction.RECEIVED), received[0])

    # -- schemas ----------------------------------------------------------------------------------------------------

    def schema(self, root: Root) -> etree.XMLSchema:
        """Return the schema of the whole message."""
        return self._schema_of(root.name, None)

    def item_schema(self, root: Root) -> etree.XMLSchema:
        """Return the schema of one item of a bulk: its root is the item element, in no namespace."""
        if root.item_element is None or root.item_type is None:
            raise ValueError(f"{root.name} is no bulk")
        return self._schema_of(root.item_element, root.item_type.name)

    def part_schema(self, element: str, of: WireType) -> etree.XMLSchema:
        """Return the schema of one unqualified element of a type, such as the header of a streamed bulk."""
        return self._schema_of(element, of.name)

    def explainer(self, root: Root) -> xmlschema.XMLSchema:
        """Return the slow schema of the whole message, whose errors a person can read."""
        return self._explainer_of(root.name, None)

    def item_explainer(self, root: Root) -> xmlschema.XMLSchema:
        """Return the slow schema of one item of a bulk."""
        if root.item_element is None or root.item_type is None:
            raise ValueError(f"{root.name} is no bulk")
        return self._explainer_of(root.item_element, root.item_type.name)

    def part_explainer(self, element: str, of: WireType) -> xmlschema.XMLSchema:
        """Return the slow schema of one unqualified element of a type."""
        return self._explainer_of(element, of.name)

    # -- WSDL -------------------------------------------------------------------------------------------------------

    def wsdl(self, interface: str, *, location: str) -> bytes:
        """Return the WSDL of `interface` as one document: its schemas inside, its address set to the URL `location`.

        A client that fetched it needs nothing else, and no path on our side shows in it.
        """
        if interface not in self.interfaces:
            raise UnknownInterface(f"the contract has no interface {interface}")
        source = etree.parse(str(self._wsdl / f"{interface}.wsdl")).getroot()
        # The prefix of the types is declared at the top: lxml drops it further down when another prefix means the same.
        prefixes = {prefix: uri for prefix, uri in source.nsmap.items() if prefix is not None}
        definitions = etree.Element(
            source.tag, attrib=dict(source.attrib), nsmap={**prefixes, "isu": TYPE_NAMESPACE, "xsd": XSD[1:-1]}
        )
        definitions.extend(list(source))
        for address in definitions.iter(f"{WSDL_SOAP}address"):
            address.set("location", location)
        types = definitions.find(f"{WSDL}types")
        if types is None:
            raise ContractFileError(f"{interface}.wsdl has no types")
        imported = [element.get("schemaLocation", "") for element in types.iter(f"{XSD}import")]
        for child in list(types):
            types.remove(child)
        types.extend(self._inlined([Path(location).name for location in imported]))
        etree.indent(definitions, space="  ")
        return etree.tostring(definitions, xml_declaration=True, encoding="UTF-8")

    def _inlined(self, names: list[str]) -> list[etree._Element]:
        """Return one schema per namespace that holds all definitions the files `names` reach."""
        schemas: dict[str, etree._Element] = {}
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            source = etree.parse(str(self._xsd / name)).getroot()
            namespace = source.get("targetNamespace", "")
            target = schemas.get(namespace)
            if target is None:
                target = schemas[namespace] = etree.Element(
                    f"{XSD}schema",
                    attrib={"targetNamespace": namespace},
                    nsmap={"xsd": XSD[1:-1], "isu": TYPE_NAMESPACE},
                )
                if namespace != TYPE_NAMESPACE:
                    etree.SubElement(target, f"{XSD}import", attrib={"namespace": TYPE_NAMESPACE})
            for child in source.iterchildren(tag=etree.Element):
                if child.tag in (f"{XSD}import", f"{XSD}include"):
                    waiting.append(child.get("schemaLocation", ""))
                else:
                    target.append(child)
        return list(schemas.values())

    # -- reading the files ------------------------------------------------------------------------------------------

    def _read_root_types(self) -> dict[str, str]:
        """Return the type's name of every message root, by the root's name."""
        found = {}
        for path in sorted(self._xsd.glob("*.xsd")):
            schema = etree.parse(str(path)).getroot()
            if schema.get("targetNamespace") != ROOT_NAMESPACE:
                continue
            for element in schema.findall(f"{XSD}element"):
                name = element.get("name", "")
                if name != path.stem:
                    raise ContractFileError(f"{path.name} holds the root {name}: a file is named after its root")
                found[name] = element.get("type", "").rpartition(":")[2]
        return found

    def _read_roots(self) -> dict[str, Root]:
        single_of = {type_name: name for name, type_name in self._root_types.items()}
        roots: dict[str, Root] = {}
        for path in sorted(self._wsdl.glob("*.wsdl")):
            definitions = etree.parse(str(path)).getroot()
            elements = {
                message.get("name", ""): part.get("element", "").rpartition(":")[2]
                for message in definitions.findall(f"{WSDL}message")
                for part in message.findall(f"{WSDL}part")
            }
            for way in definitions.iterfind(f"{WSDL}portType/{WSDL}operation/*"):
                kind = etree.QName(way).localname
                if kind == "fault":
                    continue
                name = elements[way.get("message", "").rpartition(":")[2]]
                if name in roots or name not in self._root_types:
                    raise ContractFileError(f"{path.name}: {name} is carried twice or has no file in xsd/")
                # SAP's own point of view: its _Out leaves SAP, its _In arrives there. An output flows back.
                received = path.stem.endswith("_Out") is (kind == "input")
                roots[name] = self._root(name, path.stem, received=received, single_of=single_of)
        return roots

    def _root(self, name: str, interface: str, *, received: bool, single_of: Mapping[str, str]) -> Root:
        root_type = self.types[self._root_types[name]]
        item = next((child for child in root_type.children if child.name.endswith("Message")), None)
        return Root(
            name=name,
            interface=interface,
            direction=Direction.RECEIVED if received else Direction.SENT,
            type=root_type,
            item_element=item.name if item else None,
            item_type=item.type if item else None,
            single=single_of.get(item.type.name) if item else None,
        )

    # -- compiling --------------------------------------------------------------------------------------------------

    def _compile(self, name: str, type_name: str | None) -> etree.XMLSchema:
        with _COMPILING:
            return etree.XMLSchema(etree.fromstring(self._source(name, type_name), base_url=self._base_url()))

    def _compile_explainer(self, name: str, type_name: str | None) -> xmlschema.XMLSchema:
        source = self._source(name, type_name).decode()
        return xmlschema.XMLSchema(source, base_url=self._base_url(), allow="local")

    def _base_url(self) -> str:
        return f"{self._xsd.resolve()}/"

    def _source(self, name: str, type_name: str | None) -> bytes:
        """Return the file of a root, or (with `type_name`) a schema whose root is one unqualified element."""
        if type_name is None:
            return (self._xsd / f"{name}.xsd").read_bytes()
        file = self._file_of[type_name]
        return (
            f'<xsd:schema xmlns:xsd="{XSD[1:-1]}" xmlns:isu="{TYPE_NAMESPACE}">'
            f'<xsd:import namespace="{TYPE_NAMESPACE}" schemaLocation={quoteattr(file)}/>'
            f'<xsd:element name={quoteattr(name)} type="isu:{type_name}"/></xsd:schema>'
        ).encode()

    @functools.cached_property
    def _file_of(self) -> Mapping[str, str]:
        """The file that defines each type."""
        return {
            definition.get("name", ""): path.name
            for path in sorted(self._xsd.glob("*.xsd"))
            for definition in etree.parse(str(path)).getroot().iterchildren(tag=etree.Element)
            if definition.tag in (f"{XSD}simpleType", f"{XSD}complexType")
        }

    def fault_schema(self) -> etree.XMLSchema:
        """Return the schema of `StandardMessageFault`, the detail of our faults."""
        return self._schema_of(_FAULT_ROOT, None)


def reasons(schema: etree.XMLSchema) -> list[str]:
    """Return why the schema refused what it was last asked about, in lxml's words."""
    log: Any = schema.error_log
    return [str(entry.message) for entry in log]


@functools.cache
def catalog() -> Catalog:
    """Return the catalog of this installation's wsdl/ and xsd/, read once per process."""
    return Catalog(wsdl=data_folder("wsdl"), xsd=data_folder("xsd"))


__all__ = [
    "FAULT_NAMESPACE",
    "HEADER_ELEMENT",
    "LOG_ELEMENT",
    "ROOT_NAMESPACE",
    "Catalog",
    "ContractFileError",
    "Direction",
    "Root",
    "UnknownInterface",
    "UnknownRoot",
    "WireType",
    "catalog",
    "reasons",
]
