"""The tolerant reader: exact schema first, one second chance, and an explanation a person can act on.

lxml decides. What fails is copied; in the copy, children the contract does not know at their place are taken out and
values that only a customer's wider facet allows are cut, and the copy is judged again. If it passes, the original is
accepted (a shape never looks at what was set aside). If not, xmlschema says where and why, slowly and legibly.
"""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import xmlschema
from lxml import etree
from xmlschema.validators import XsdAtomicBuiltin, XsdFacet, XsdPatternFacets

from mdus.contracts.catalog import HEADER_ELEMENT, LOG_ELEMENT, Catalog, Root, catalog, reasons
from mdus.contracts.reading import line_of
from mdus.contracts.shape import once_per_class
from mdus.contracts.wire_types import WireType
from mdus.settings import data_folder

MOST_VIOLATIONS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One place where a message breaks the contract. `path` starts below the message's root."""

    path: str
    expected: str
    found: str
    line: int | None = None

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line else ""
        return f"{self.path}{line}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """Something the contract does not have that was accepted all the same. `known` tells a listed extension."""

    path: str
    known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of a message or of one item: accepted if there is no violation."""

    set_aside: tuple[SetAside, ...] = ()
    violations: tuple[Violation, ...] = ()

    @property
    def accepted(self) -> bool:
        """Return whether the element may be bound, as it was sent."""
        return not self.violations


_ACCEPTED: Final = Verdict()


def validate(element: etree._Element, root: Root, *, contract: Catalog | None = None) -> Verdict:
    """Return the verdict on a whole message, given its root element; up to 20 violations."""
    contract = contract or catalog()
    if contract.schema(root).validate(element):
        return _ACCEPTED
    if not root.is_bulk:
        return _second_chance(element, root.type, contract.schema(root), lambda: contract.explainer(root), at="")
    return _validate_bulk(element, root, contract)


def validate_item(element: etree._Element, root: Root, *, position: int, contract: Catalog | None = None) -> Verdict:
    """Return the verdict on one item of a bulk, the `position`-th (from 1)."""
    contract = contract or catalog()
    schema = contract.item_schema(root)
    if schema.validate(element):
        return _ACCEPTED
    return _second_chance(
        element,
        root.message_type,
        schema,
        lambda: contract.item_explainer(root),
        at=f"{root.item_element}[{position}]",
    )


def validate_part(element: etree._Element, root: Root, *, contract: Catalog | None = None) -> Verdict:
    """Return the verdict on the header or the overall Log of a bulk."""
    contract = contract or catalog()
    child = root.type.child(str(element.tag))
    if child is None:
        raise ValueError(f"{root.name} has no {element.tag}")
    schema = contract.part_schema(child.name, child.type)
    if schema.validate(element):
        return _ACCEPTED
    return _second_chance(
        element, child.type, schema, lambda: contract.part_explainer(child.name, child.type), at=child.name
    )


def _validate_bulk(element: etree._Element, root: Root, contract: Catalog) -> Verdict:
    """Judge a bulk part by part: only the parts at fault are explained, however many there are."""
    complaints = reasons(contract.schema(root))
    structure = BulkStructure(root)
    set_aside: list[SetAside] = []
    violations: list[Violation] = []
    for child in element.iterchildren(tag=etree.Element):
        position = structure.take(child)
        if position is not None:
            verdict = validate_item(child, root, position=position, contract=contract)
        elif child.tag in (HEADER_ELEMENT, LOG_ELEMENT) and root.type.child(str(child.tag)):
            verdict = validate_part(child, root, contract=contract)
        else:
            continue
        set_aside += verdict.set_aside
        violations += verdict.violations
        if len(violations) >= MOST_VIOLATIONS:
            break
    else:
        whole = structure.verdict()
        set_aside += whole.set_aside
        violations += whole.violations
        violations += _attribute_violations(element)
        if not violations and not set_aside:
            # Text between the parts, for one: lxml's verdict stands, in its own words.
            violations += _in_other_words(complaints, "")
    return Verdict(set_aside=tuple(set_aside), violations=tuple(violations[:MOST_VIOLATIONS]))


def _attribute_violations(element: etree._Element) -> Iterator[Violation]:
    for key in element.attrib:
        name = str(key)
        if not name.startswith("{http://www.w3.org/2001/XMLSchema-instance}"):
            yield Violation(path=f"@{name}", expected="no attribute", found=name, line=line_of(element))


class BulkStructure:
    """The order of the parts of a bulk: header, one or more items, the Log if the contract has one.

    Fed with the children of the root one by one, so that a streamed message and a tree are judged alike.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._order = {child.name: place for place, child in enumerate(root.type.children)}
        self._seen: Counter[str] = Counter()
        self._last = 0
        self._set_aside: list[SetAside] = []
        self._violations: list[Violation] = []
        self._qualified: list[Violation] = []

    def take(self, child: etree._Element) -> int | None:
        """Note a child of the root; return its position from 1 if it is an item, else None."""
        name = str(child.tag)
        place = self._order.get(name)
        if place is None:
            if name.startswith("{"):
                self._qualified.append(_qualified(child, etree.QName(child).localname))
            else:
                self._set_aside.append(SetAside(path=name, known=False))
            return None
        self._seen[name] += 1
        if place < self._last or (self._seen[name] > 1 and name != self._root.item_element):
            expected = next((n for n, p in self._order.items() if p == self._last), "the end")
            self._violations.append(
                Violation(path=name, expected=f"{expected} or what follows it", found=name, line=line_of(child))
            )
        self._last = max(self._last, place)
        return self._seen[name] if name == self._root.item_element else None

    def verdict(self) -> Verdict:
        """Return what is wrong with the order, once all children were taken."""
        if self._qualified:
            # They are why others seem to be missing.
            return Verdict(set_aside=tuple(self._set_aside), violations=tuple(self._qualified[:MOST_VIOLATIONS]))
        missing = [
            Violation(path=child.name, expected="at least one" if child.repeated else "one", found="none")
            for child in self._root.type.children
            if child.required and not self._seen[child.name]
        ]
        violations = (*self._violations, *missing)
        return Verdict(set_aside=tuple(self._set_aside), violations=violations[:MOST_VIOLATIONS])


# -- the second chance ------------------------------------------------------------------------------------------------


def _second_chance(
    element: etree._Element,
    of: WireType,
    schema: etree.XMLSchema,
    explainer: Callable[[], xmlschema.XMLSchema],
    *,
    at: str,
) -> Verdict:
    repaired = copy.deepcopy(element)
    set_aside: list[SetAside] = []
    qualified: list[Violation] = []
    for found in _repair(repaired, of, at):
        if isinstance(found, Violation):
            qualified.append(found)
        else:
            set_aside.append(found)
    if qualified:
        return Verdict(set_aside=tuple(set_aside), violations=tuple(qualified[:MOST_VIOLATIONS]))
    if schema.validate(repaired):
        return Verdict(set_aside=tuple(set_aside))
    complaints = reasons(schema)
    violations = tuple(itertools.islice(_explain(repaired, explainer(), at), MOST_VIOLATIONS))
    if not violations:
        # The two validators differ on a corner of XSD; lxml's verdict stands, in its own words.
        violations = _in_other_words(complaints, at)
    return Verdict(set_aside=tuple(set_aside), violations=violations)


def _in_other_words(complaints: list[str], at: str) -> tuple[Violation, ...]:
    return tuple(
        Violation(path=at or ".", expected="what the schema allows", found=complaint)
        for complaint in complaints[:MOST_VIOLATIONS]
    )


def _repair(element: etree._Element, of: WireType, path: str) -> Iterator[SetAside | Violation]:
    """Take out of the element what the contract does not know, and yield what it was."""
    counts: Counter[str] = Counter()
    for child in list(element.iterchildren(tag=etree.Element)):
        name = str(child.tag)
        counts[name] += 1
        known = None if name.startswith("{") else of.child(name)
        here = f"{path}/{name}" if path else name
        if known is not None and known.repeated:
            here = f"{here}[{counts[name]}]"
        if name.startswith("{"):
            local = etree.QName(child).localname
            yield _qualified(child, f"{path}/{local}" if path else local)
        elif known is None:
            element.remove(child)
            yield SetAside(path=here, known=(of.name, name) in extensions().elements)
        elif known.type.is_leaf:
            if _cut_to_facet(child, known.type):
                yield SetAside(path=here, known=True)
        else:
            yield from _repair(child, known.type, here)


def _qualified(element: etree._Element, path: str) -> Violation:
    name = etree.QName(element)
    return Violation(
        path=path,
        expected=f"{name.localname} in no namespace: only the root of a message is qualified, its children are not",
        found=f"{name.localname} in the namespace {name.namespace}",
        line=line_of(element),
    )


def _cut_to_facet(element: etree._Element, of: WireType) -> bool:
    """Cut a value to the contract's length if only a listed extension allows for more; return whether it was cut."""
    wider = extensions().lengths.get(of.name)
    text = element.text or ""
    strict = int(of.facets.get("maxLength", 0))
    if wider is None or not strict < len(text) <= wider:
        return False
    element.text = text[:strict]
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Extensions:
    """What single customers added to the contract (xsd/extensions.toml): accepted when read, never sent."""

    elements: frozenset[tuple[str, str]]
    """(type, element)."""
    lengths: Mapping[str, int]
    """Type -> the longest text."""


def read_extensions(text: str) -> Extensions:
    """Return the extensions of a TOML text laid out as xsd/extensions.toml."""
    table: dict[str, list[dict[str, Any]]] = tomllib.loads(text)
    return Extensions(
        elements=frozenset((str(row["type"]), str(row["name"])) for row in table["element"]),
        lengths={str(row["type"]): int(row["maxLength"]) for row in table["facets"] if "maxLength" in row},
    )


@once_per_class
def extensions() -> Extensions:
    """Return the extensions this installation accepts, read once per process."""
    return read_extensions((data_folder("xsd") / "extensions.toml").read_text(encoding="utf-8"))


# -- explaining -------------------------------------------------------------------------------------------------------


def _explain(element: etree._Element, schema: xmlschema.XMLSchema, at: str) -> Iterator[Violation]:
    """Yield one violation per place, in the order they are found."""
    seen = set()
    for error in schema.iter_errors(element):
        violation = _violation(error, at)
        # A value that breaks three facets is one place; a child missing there is another matter.
        place = (violation.path, isinstance(error, xmlschema.XMLSchemaChildrenValidationError))
        if place not in seen:
            seen.add(place)
            yield violation


def _violation(error: xmlschema.XMLSchemaValidationError, at: str) -> Violation:
    below = (error.path or "").lstrip("/").partition("/")[2]
    path = "/".join(part for part in (at, below) if part) or "."
    if isinstance(error, xmlschema.XMLSchemaChildrenValidationError):
        return _wrong_child(error, path)
    element = error.elem
    text = error.obj if isinstance(error.obj, str) else (element.text if element is not None else None) or ""
    return Violation(path=path, expected=_expectation(error), found=repr(text), line=error.sourceline)


def _wrong_child(error: xmlschema.XMLSchemaChildrenValidationError, parent: str) -> Violation:
    """Return what is wrong with a sequence: a child out of order, one too many or one missing."""
    child: Any = error.invalid_child
    expected = [str(getattr(one, "local_name", None) or "more") for one in error.expected or ()]
    if child is None:
        found, line = "nothing", error.sourceline
    else:
        found, line = etree.QName(child).localname, line_of(child)
    # The place is that of the missing child, if it is plain which one is missing.
    name = expected[0] if len(expected) == 1 else found
    return Violation(
        path=name if parent == "." else f"{parent}/{name}",
        expected=" or ".join(expected) or "no further element",
        found=found,
        line=line,
    )


def _expectation(error: xmlschema.XMLSchemaValidationError) -> str:
    validator: Any = error.validator
    if isinstance(validator, XsdPatternFacets):
        return f"the pattern {' or '.join(str(pattern) for pattern in validator.regexps)}"
    if isinstance(validator, XsdFacet):
        return f"{etree.QName(validator.elem.tag).localname} {validator.elem.get('value')}"
    if isinstance(validator, XsdAtomicBuiltin):
        return f"xsd:{validator.local_name}"
    return str(error.reason or error.message).rstrip(".")
