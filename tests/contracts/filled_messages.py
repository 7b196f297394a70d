"""Messages with everything in them: each optional element and attribute, what repeats twice, no two values alike."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lxml import etree

from mdus.contracts.binding import wire, wire_end, wire_text
from mdus.contracts.catalog import Root
from mdus.contracts.wire_types import ROOT_NAMESPACE, WireType

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass
class Values:
    """Hands out texts that fit a type's facets; the same text twice only where a type has too few (true, false)."""

    count: int = 0
    by_length: dict[int, int] = field(default_factory=dict)

    def text(self, builtin: str, facets: dict[str, str]) -> str:
        self.count += 1
        n = self.count
        pattern = facets.get("pattern", "")
        if builtin == "boolean":
            return "true" if n % 2 else "false"
        if builtin == "int":
            return str(n)
        if builtin in ("decimal", "float"):
            return f"{n % 90}.{n % 9 + 1}5" if facets.get("totalDigits") == "4" else f"{n}.{n % 9 + 1}"
        if builtin == "date":
            return (date(2001, 1, 1) + timedelta(days=n)).isoformat()
        if builtin == "time":
            return (datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=61 * n)).time().isoformat()
        if builtin == "dateTime":
            instant = (datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=3661 * n)).replace(tzinfo=None).isoformat()
            return instant if pattern and not pattern.endswith("Z") else f"{instant}Z"
        if builtin == "duration":
            return f"P{n}D"
        if builtin == "base64Binary":
            return f"{n:08d}"
        if builtin == "language":
            return "".join(chr(ord("a") + (n // 26**place) % 26) for place in (1, 0))
        if "[0-9a-fA-F]{8}" in pattern:
            return f"0000ABCD-0000-4000-8000-{n:012d}"
        if pattern == r"\d+":
            return f"{n:018d}"
        return self._word(min(int(facets.get("length", facets.get("maxLength", 12))), 12), facets)

    def _word(self, length: int, facets: dict[str, str]) -> str:
        n = self.by_length[length] = self.by_length.get(length, 0) + 1
        word = ""
        while n:
            n, digit = divmod(n, len(_ALPHABET))
            word = _ALPHABET[digit] + word
        assert len(word) <= length, "too few texts of this length"
        # Leading zeros belong to an identifier: they must survive.
        least = length if "length" in facets or length > 3 else int(facets.get("minLength", 1))
        return word.rjust(least, "0")


def filled(root: Root) -> etree._Element:
    """Return a message of this root with everything in it."""
    element = etree.Element(root.tag, nsmap={"n0": ROOT_NAMESPACE})
    _fill(element, root.type, Values())
    return element


def _fill(element: etree._Element, of: WireType, values: Values) -> None:
    for attribute in of.attributes:
        element.set(attribute.name, values.text(attribute.builtin, dict(attribute.facets)))
    if of.builtin is not None:
        element.text = values.text(of.builtin, dict(of.facets))
    for child in of.children:
        for _ in range(2 if child.repeated else 1):
            _fill(etree.SubElement(element, child.name), child.type, values)


_KINDS: dict[str, type] = {
    "boolean": bool,
    "int": int,
    "decimal": Decimal,
    "date": date,
    "time": time,
    "dateTime": datetime,
}


def shape_of(of: WireType) -> type:
    """Return a dataclass with a wire field for every element and attribute of a type."""
    fields: list[tuple[str, Any, Any]] = []

    def add(kind: Any, wired: Any) -> None:
        fields.append((f"field_{len(fields)}", kind, wired))

    def walk(here: WireType, path: str, *, at_top: bool) -> None:
        for attribute in here.attributes:
            add(_KINDS.get(attribute.builtin, str) | None, wire(f"{path}@{attribute.name}"))
        if here.builtin is not None and at_top:
            add(_KINDS.get(here.builtin, str), wire("."))
        for child in here.children:
            place = f"{path}{child.name}"
            if child.repeated and (child.type.children or child.type.attributes):
                add(tuple[shape_of(child.type), ...], wire(place))  # type: ignore[misc]
            elif child.repeated:
                add(tuple[_KINDS.get(child.type.builtin or "", str), ...], wire(place))  # type: ignore[misc]
            else:
                if child.type.builtin == "date" and child.name == "EndDate":
                    add(date | None, wire_end(place))
                elif child.type.builtin == "string":
                    add(str | None, wire_text(place))
                elif child.type.builtin is not None:
                    add(_KINDS.get(child.type.builtin, str) | None, wire(place))
                walk(child.type, f"{place}/", at_top=False)

    walk(of, "", at_top=True)
    return make_dataclass(of.name.replace(".", "_"), fields, frozen=True, kw_only=True, slots=True)


def leaf_texts(element: etree._Element) -> list[str]:
    """Return all texts and attribute values of a message, in order."""
    found: list[str] = []
    for one in element.iter():
        found += one.attrib.values()
        if len(one) == 0:
            found.append(one.text or "")
    return found
