"""Elements of messages, found by local name in any order, and their texts: read, or a ValueError that says where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lxml import etree

from mdus.contracts.envelope import malformed, refuse_dtd
from mdus.contracts.printable import printable
from mdus.domain import local_time
from mdus.domain.local_time import Meanings
from mdus.headends.cim.names import local

#: Years between which instants can be counted with, whatever their zone.
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9998

#: The largest exponent of a number, either way: no quantity has a larger one.
_LARGEST_EXPONENT: Final = 60


def parse(body: bytes) -> etree._Element:
    """Return the root of a document; no entity is resolved, no DTD taken. Raises ValueError where it is none."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        document = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise malformed(error) from error
    refuse_dtd(document)
    return document


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Yield the children of a name, whatever their namespace."""
    return (each for each in element if local(each) == name)


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """Return the first element at a path of names, None without one."""
    for name in path:
        if element is None:
            return None
        element = next(children(element, name), None)
    return element


def text(element: etree._Element | None, *path: str) -> str | None:
    """Return the text at a path, None where there is no element or nothing in it."""
    found = child(element, *path)
    if found is None or found.text is None:
        return None
    return printable(found.text.strip()) or None


def ref(element: etree._Element | None, *path: str) -> str | None:
    """Return the code an element refers to: its attribute `ref`, or what stands in it."""
    found = child(element, *path)
    if found is None:
        return None
    named = found.get("ref") or found.text or text(found, "mRID") or ""
    return printable(str(named).strip()) or None


def line(element: etree._Element) -> int:
    """Return the line an element stands in, 0 where it is not known."""
    number: Any = element.sourceline  # the stubs know no type for it
    return number or 0


def number(told: str) -> Decimal:
    """Return a number, or a ValueError for what is none or is too large or too small to be one that was measured."""
    try:
        value = Decimal(told)
    except InvalidOperation:
        raise ValueError(f"{told!r} is not a number") from None
    if not value.is_finite():
        raise ValueError(f"{told!r} is not a number")
    # The first is cheap, and leaves few digits before the point to look at.
    if abs(value.adjusted()) > _LARGEST_EXPONENT or abs(int(value.as_tuple().exponent)) > _LARGEST_EXPONENT:
        raise ValueError(f"{told[:40]!r} has an exponent beyond {_LARGEST_EXPONENT}")
    return value


def instant(told: str, *, zone: str | None) -> datetime:
    """Return an instant in UTC; one without an offset is local time of the zone, and must be there once."""
    first, *others = instants(told, zone=zone)
    if others:
        raise ValueError(f"{told!r} is there twice in {zone}, and does not say which it is")
    return first


def instants(told: str, *, zone: str | None) -> Meanings:
    """Return the instants that a time may mean, earlier ones first: two in the hour that is there twice.

    One without an offset is local time of the zone, or refused where there is none.
    """
    at = _shown(told)
    if at.tzinfo is not None:
        return (at.astimezone(UTC),)
    if zone is None:
        raise ValueError(f"{told!r} is an instant without zone")
    found = local_time.meanings(at, zone=zone)
    if not found:
        raise ValueError(f"{told!r} is a time that no clock shows in {zone}")
    return found


def earliest(element: etree._Element | None, *path: str, zone: str | None) -> datetime | None:
    """Return the first instant that a time at a path may mean, None where none is told or it cannot be read.

    For times by which nothing is put in its place, of what must not be lost for their sake.
    """
    told = text(element, *path)
    if told is None:
        return None
    try:
        at = _shown(told)
    except ValueError:
        return None
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    return None if zone is None else local_time.earliest(at, zone=zone)


def optional_instant(element: etree._Element | None, *path: str, zone: str | None) -> datetime | None:
    """Return the instant at a path, None where none is told."""
    told = text(element, *path)
    return None if told is None else instant(told, zone=zone)


def _shown(told: str) -> datetime:
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        raise ValueError(f"{told!r} is not an instant") from None
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(f"{told!r} is not an instant of a meter")
    return at
