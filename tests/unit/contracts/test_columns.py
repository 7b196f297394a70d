"""Binding items together gives exactly what binding them one by one gives, or says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import bind, to_json, wire, wire_end
from mdus.contracts.columns import Columns, alike, bind_together
from mdus.contracts.envelope import parse
from mdus.contracts.wire_types import ChildType, WireType


class Commodity(StrEnum):
    """A code whose leading zeros senders drop."""

    ELECTRICITY = "01"
    GAS = "02"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One field of each kind that can be bound together."""

    id: str = wire("Document/ID")
    on: date | None = wire("Document/Date")
    at: datetime | None = wire("Document/At")
    amount: Decimal | None = wire("Document/Task/Amount")
    urgent: bool | None = wire("Document/Task/Urgent")
    count: int | None = wire("Document/Task/Count")
    commodity: Commodity | None = wire("Document/Task/Commodity")
    until: date | None = wire_end("Document/Until")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of something."""

    id: str = wire("ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nested:
    """A shape that holds another."""

    part: Part | None = wire("Document")


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A shape with a field that repeats."""

    ids: tuple[str, ...] = wire("Document/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributed:
    """A shape with a field in an attribute."""

    kind: str | None = wire("Document/@kind")


TEXT = WireType(name="Text", builtin="token")


def optional(name: str, of: WireType = TEXT, *, maximum: int | None = 1) -> ChildType:
    """Return a child that may be missing."""
    return ChildType(name=name, type=of, required=False, maximum=maximum)


TASK = WireType(name="Task", children=tuple(map(optional, ("Amount", "Urgent", "Count", "Commodity"))))
DOCUMENT = WireType(
    name="Document",
    children=(
        ChildType(name="ID", type=TEXT, required=True, maximum=1),
        *map(optional, ("Date", "At", "Until")),
        optional("Task", TASK),
        optional("Other"),
        optional("Deep", WireType(name="Deep", children=(optional("ID"),))),
        optional("Note", maximum=None),
    ),
)
ITEM = WireType(
    name="Item", children=(ChildType(name="Document", type=DOCUMENT, required=True, maximum=1), optional("Remark"))
)


def bound_together(parent: etree._Element, shape: type = Order, *, inside: str = "") -> Columns | None:
    """Return the columns of items, if they are alike."""
    texts = alike(parent, ITEM)
    return None if texts is None else bind_together(shape, texts, inside=inside)


def items(*contents: str) -> etree._Element:
    """Return a parent of one item per content, parsed as messages are."""
    inner = "".join(f"<Item><Document>{content}</Document></Item>" for content in contents)
    envelope = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    return parse(f"{envelope}<Items>{inner}</Items></s:Body></s:Envelope>".encode())


def as_one_by_one(parent: etree._Element, shape: type = Order) -> bool:
    """Tell whether binding together gave what binding one by one gives."""
    bound = bound_together(parent, shape)
    assert bound is not None
    expected = [bind(shape, item) for item in parent]
    wanted = {field.name: [getattr(value, field.name) for value in expected] for field in fields(shape)}
    told = {name: list(values) for name, values in bound.values.items()}
    return told == wanted and bound.json == [to_json(value) for value in expected]


FULL = (
    "<ID>{0}</ID><Date>2026-03-{1}</Date><At>2026-03-29T01:00:{1}Z</At><Until>2026-12-{1}</Until>"
    "<Task><Amount>{1}.50</Amount><Urgent>true</Urgent><Count>{1}</Count><Commodity>{2}</Commodity></Task>"
)


class TestItemsThatAreAlike:
    def test_are_bound_with_every_kind_of_field(self) -> None:
        parent = items(FULL.format("0007", 10, "01"), FULL.format("0008", 11, "2"), FULL.format("0007", 12, "02"))
        assert as_one_by_one(parent)
        bound = bound_together(parent)
        assert bound is not None
        first = {name: values[0] for name, values in bound.values.items()}
        assert (first["id"], first["on"], first["amount"]) == ("0007", date(2026, 3, 10), Decimal("10.50"))
        assert (first["at"], first["commodity"]) == (datetime(2026, 3, 29, 1, 0, 10, tzinfo=UTC), Commodity.ELECTRICITY)

    def test_may_leave_out_the_same_optional_fields(self) -> None:
        assert as_one_by_one(items("<ID>1</ID>", "<ID>2</ID>"))

    def test_keep_their_order(self) -> None:
        parent = items(*(f"<ID>{number}</ID>" for number in range(100)))
        bound = bound_together(parent)
        assert bound is not None
        assert bound.values["id"] == [str(number) for number in range(100)]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("  a   b ", id="white space that collapses"),
            pytest.param("a\tb", id="a tab"),
            pytest.param('"\\ü€&amp;&lt;', id="what JSON and XML escape"),
            pytest.param("<![CDATA[x]]>y", id="text in two pieces"),
            pytest.param("x<!-- a remark -->y", id="text around a comment"),
            pytest.param("%s %(name)s {}", id="what looks like a template"),
        ],
    )
    def test_have_their_texts_read_as_one_by_one(self, text: str) -> None:
        assert as_one_by_one(items(f"<ID>{text}</ID>", "<ID>plain</ID>"))

    def test_may_all_end_never(self) -> None:
        assert as_one_by_one(items(*["<ID>1</ID><Until>9999-12-31</Until>"] * 2))

    def test_are_read_from_the_place_below_them(self) -> None:
        parent = items("<ID>1</ID>", "<ID>2</ID>")
        bound = bound_together(parent, Part, inside="Document")
        assert bound is not None
        assert bound.json == ['{"id":"1"}', '{"id":"2"}']

    def test_skip_what_no_field_names(self) -> None:
        assert as_one_by_one(items(*(f"<ID>{n}</ID><Other>x</Other><Deep><ID>{n}7</ID></Deep>" for n in (1, 2))))

    def test_may_be_written_on_lines_of_their_own(self) -> None:
        assert as_one_by_one(items(*(f"\n  <ID>{n}</ID>\n  <Date>2026-03-0{n}</Date>\n" for n in (1, 2))))


class TestItemsThatDiffer:
    @pytest.mark.parametrize(
        "contents",
        [
            pytest.param(("<ID>1</ID><Date>2026-03-01</Date>", "<ID>2</ID>"), id="one lacks an optional field"),
            pytest.param(("<ID>1</ID>", ""), id="one lacks a required field"),
            pytest.param(("", ""), id="all lack a required field"),
            pytest.param(("<ID>1</ID>", "<ID></ID>"), id="one has an empty text"),
            pytest.param(("<ID>1</ID><Note>a</Note>",) * 2, id="they have what may be there several times"),
            pytest.param(("<ID>1</ID><New>a</New>",) * 2, id="they have what the contract does not know"),
            pytest.param(("<ID>1</ID><Date>2026-03-01</Date>", "<ID>2</ID><New/>"), id="one has another element"),
            pytest.param(("<ID>1</ID>", "<ID></ID><Other>x</Other>"), id="one has a text elsewhere"),
            pytest.param(("<ID>1</ID>", " <ID></ID>"), id="white space stands where a text is missing"),
            pytest.param(("<ID>1</ID><Other/>",) * 2, id="they have an element without a text"),
            pytest.param(("<ID>1</ID><Task/>",) * 2, id="they have a structure with nothing in it"),
            pytest.param(("<ID>1</ID><Date>2026-02-30</Date>",) * 2, id="a day that does not exist"),
            pytest.param(("<ID>1</ID><Task><Commodity>7</Commodity></Task>",) * 2, id="a code without a member"),
            pytest.param(
                ("<ID>1</ID><Until>9999-12-31</Until>", "<ID>2</ID><Until>2026-01-01</Until>"), id="one ends never"
            ),
        ],
    )
    def test_are_left_to_be_bound_one_by_one(self, contents: tuple[str, ...]) -> None:
        assert bound_together(items(*contents)) is None


class TestShapes:
    @pytest.mark.parametrize("shape", [Nested, Repeated, Attributed], ids=lambda shape: shape.__name__.lower())
    def test_with_more_than_single_texts_are_left_to_bind(self, shape: Any) -> None:
        assert bound_together(items("<ID>1</ID>", "<ID>2</ID>"), shape) is None
