"""The types of SAP's contract, read from xsd/: which children in which order, how often, with which facets.

Only what the contract uses is understood: sequences of elements, attributes, simple content and restrictions. Anything
else in a file is a `ContractFileError`, so that a new construct is noticed and not skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lxml import etree

XSD: Final = "{http://www.w3.org/2001/XMLSchema}"
TYPE_NAMESPACE: Final = "http://sap.com/xi/IS-U/Global2"
"""The namespace of all types. It never shows in a message."""
ROOT_NAMESPACE: Final = "http://sap.com/xi/SAPGlobal20/Global"
"""The namespace of all message roots. Only the root is in it: its children are in none."""
FAULT_NAMESPACE: Final = "http://sap.com/xi/SAPGlobal/Global"
"""The namespace of `StandardMessageFault`."""


class ContractFileError(Exception):
    """A file in xsd/ or wsdl/ cannot be understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeType:
    """An attribute of a type: its name, its XSD base and whether it must be there."""

    name: str
    builtin: str
    required: bool
    facets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChildType:
    """A child of a sequence: its (unqualified) name, its type and how often it stands there."""

    name: str
    type: WireType
    required: bool
    maximum: int | None
    """None means any number."""

    @property
    def repeated(self) -> bool:
        """Return whether the child may stand there more than once."""
        return self.maximum != 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class WireType:
    """A type of the contract. A leaf has a `builtin` (an XSD name such as `token`), a structure has `children`.

    There is one object per type, so a type is a key: plans are compiled per shape and type.
    """

    name: str
    builtin: str | None = None
    facets: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[AttributeType, ...] = ()
    children: tuple[ChildType, ...] = ()

    def __repr__(self) -> str:
        """Return the name: a bulk in full would fill pages."""
        return f"<WireType {self.name}>"

    @property
    def is_leaf(self) -> bool:
        """Return whether the element carries text."""
        return self.builtin is not None

    def child(self, name: str) -> ChildType | None:
        """Return the child `name`, or None when the sequence has none."""
        return next((child for child in self.children if child.name == name), None)

    def attribute(self, name: str) -> AttributeType | None:
        """Return the attribute `name`, or None when the type has none."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)


def read_types(folder: Path) -> dict[str, WireType]:
    """Return every named type of the XSD files in `folder`, by name."""
    return _TypeReader(folder).read()


class _TypeReader:
    """Reads all files first, then resolves each type by name: the files include each other freely."""

    def __init__(self, folder: Path) -> None:
        self._definitions: dict[str, etree._Element] = {}
        self._types: dict[str, WireType] = {}
        for path in sorted(folder.glob("*.xsd")):
            schema = etree.parse(str(path)).getroot()
            if schema.get("targetNamespace") != TYPE_NAMESPACE:
                continue
            for definition in _elements(schema):
                if definition.tag == f"{XSD}include":
                    continue
                name = definition.get("name", "")
                if name in self._definitions:
                    raise ContractFileError(f"{path.name}: type {name} is defined a second time")
                self._definitions[name] = definition

    def read(self) -> dict[str, WireType]:
        return {name: self._named(name) for name in self._definitions}

    def _named(self, name: str) -> WireType:
        known = self._types.get(name)
        if known is None:
            definition = self._definitions.get(name)
            if definition is None:
                raise ContractFileError(f"type {name} is used and not defined")
            known = self._types[name] = self._defined(name, definition)
        return known

    def _referenced(self, reference: str) -> WireType:
        prefix, _, name = reference.rpartition(":")
        return WireType(name=reference, builtin=name) if prefix == "xsd" else self._named(name)

    def _defined(self, name: str, definition: etree._Element) -> WireType:
        if definition.tag == f"{XSD}simpleType":
            return self._simple(name, definition)
        if definition.tag != f"{XSD}complexType":
            raise ContractFileError(f"{name}: {definition.tag} is not understood")
        content = definition.find(f"{XSD}simpleContent/{XSD}extension")
        if content is not None:
            base = self._referenced(content.get("base", ""))
            return WireType(
                name=name, builtin=base.builtin, facets=base.facets, attributes=tuple(self._attributes(content))
            )
        sequence = definition.find(f"{XSD}sequence")
        if sequence is None:
            raise ContractFileError(f"{name}: neither simple content nor a sequence")
        return WireType(
            name=name,
            attributes=tuple(self._attributes(definition)),
            children=tuple(self._child(element) for element in _elements(sequence)),
        )

    def _simple(self, name: str, definition: etree._Element) -> WireType:
        restriction = definition.find(f"{XSD}restriction")
        if restriction is None:
            raise ContractFileError(f"{name}: only restrictions are understood")
        base = self._referenced(restriction.get("base", ""))
        own = {etree.QName(facet).localname: facet.get("value", "") for facet in _elements(restriction)}
        return WireType(name=name, builtin=base.builtin, facets={**base.facets, **own})

    def _attributes(self, owner: etree._Element) -> Iterator[AttributeType]:
        for element in owner.findall(f"{XSD}attribute"):
            inline = element.find(f"{XSD}simpleType")
            of = self._referenced(element.get("type", "")) if inline is None else self._simple("", inline)
            if of.builtin is None:
                raise ContractFileError(f"attribute {element.get('name')}: {of.name} carries no text")
            yield AttributeType(
                name=element.get("name", ""),
                builtin=of.builtin,
                required=element.get("use") == "required",
                facets=of.facets,
            )

    def _child(self, element: etree._Element) -> ChildType:
        if element.tag != f"{XSD}element":
            raise ContractFileError(f"{element.tag} in a sequence is not understood")
        most = element.get("maxOccurs", "1")
        return ChildType(
            name=element.get("name", ""),
            type=self._referenced(element.get("type", "")),
            required=element.get("minOccurs", "1") != "0",
            maximum=None if most == "unbounded" else int(most),
        )


def _elements(parent: etree._Element) -> Iterator[etree._Element]:
    """Yield the children that are elements and no annotation."""
    for child in parent.iterchildren(tag=etree.Element):
        if child.tag != f"{XSD}annotation":
            yield child
