"""Binding: XML to values and back, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import (
    END_OF_DAY,
    BindingError,
    ShapeError,
    bind,
    shape_version,
    wire,
    wire_end,
    wire_text,
    write,
)
from mdus.contracts.catalog import catalog

LOCATION = catalog().root("UtilitiesDeviceERPSmartMeterLocationNotification").type
REGISTERS = catalog().root("UtilitiesDeviceERPSmartMeterRegisterCreateRequest").type
QUERY = catalog().root("UtilitiesTimeSeriesItemByIDQuery_sync").type
EVENT = catalog().root("UtilitiesSmartMeterEventERPBulkCreateRequest").message_type


class Colour(StrEnum):
    RED = "1"
    GREEN = "02"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaves:
    text: str | None = wire("Text")
    free: str | None = wire_text("Free")
    flag: bool | None = wire("Flag")
    number: int | None = wire("Number")
    amount: Decimal | None = wire("Amount")
    day: date | None = wire("Day")
    at: time | None = wire("Time")
    instant: datetime | None = wire("Instant")
    colour: Colour | None = wire("Colour")
    until: date | None = wire_end("Until")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nested:
    text: str = wire(".")
    scheme: str | None = wire("@scheme")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deep:
    outer_id: str = wire("A/ID")
    inner_id: str = wire("A/B/ID")
    complete: bool | None = wire("A/B/@complete")
    texts: tuple[str, ...] = wire("A/C")
    nested: tuple[Nested, ...] = wire("A/D")
    one: Nested | None = wire("A/E")


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")
    task_id: str = wire("UtilitiesMeasurementTaskID")
    digits: int | None = wire("Specifications/DecimalValuePrecision/TotalDigitNumberValue")
    unit: str = wire("Specifications/MeasureUnitCode")
    factor: Decimal | None = wire("Specifications/MeterReadingResultAdjustmentFactorValue")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registers:
    # Not in the order of the contract: the writer does not care.
    ams: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")
    registers: tuple[Register, ...] = wire("UtilitiesDevice/Register")
    device_id: str = wire("UtilitiesDevice/ID")
    device_scheme: str | None = wire("UtilitiesDevice/ID/@schemeID")


def leaves(**texts: str) -> Leaves:
    element = etree.Element("X")
    for name, text in texts.items():
        etree.SubElement(element, name).text = text
    return bind(Leaves, element)


class TestLeaves:
    CASES = (
        pytest.param("Text", "  0012\n ", "text", "0012", id="outer-white-space-goes-zeros-stay"),
        pytest.param("Text", "a \t\n b", "text", "a b", id="inner-white-space-collapses"),
        pytest.param("Text", "a\u00a0b", "text", "a\u00a0b", id="other-blanks-are-characters"),
        pytest.param("Text", "", "text", "", id="empty-text"),
        pytest.param("Free", " two  blanks ", "free", " two  blanks ", id="free-text-stays"),
        pytest.param("Flag", "true", "flag", True, id="true"),
        pytest.param("Flag", "1", "flag", True, id="one"),
        pytest.param("Flag", "false", "flag", False, id="false"),
        pytest.param("Flag", " 0 ", "flag", False, id="zero"),
        pytest.param("Number", "007", "number", 7, id="integer"),
        pytest.param("Amount", "12.500", "amount", Decimal("12.500"), id="decimal-keeps-its-digits"),
        pytest.param("Amount", "-.5", "amount", Decimal("-0.5"), id="decimal-without-leading-zero"),
        pytest.param("Day", "2024-02-29", "day", date(2024, 2, 29), id="date"),
        pytest.param("Time", "23:59:59", "at", time(23, 59, 59), id="time"),
        pytest.param("Time", "24:00:00", "at", END_OF_DAY, id="end-of-day"),
        pytest.param("Instant", "2025-03-01T10:00:00Z", "instant", datetime(2025, 3, 1, 10, tzinfo=UTC), id="z"),
        pytest.param("Instant", "2025-03-01T10:00:00", "instant", datetime(2025, 3, 1, 10, tzinfo=UTC), id="no-zone"),
        pytest.param(
            "Instant", "2025-03-01T10:00:00+05:30", "instant", datetime(2025, 3, 1, 4, 30, tzinfo=UTC), id="offset"
        ),
        pytest.param(
            "Instant",
            "2025-03-01T10:00:00.1234567Z",
            "instant",
            datetime(2025, 3, 1, 10, 0, 0, 123456, tzinfo=UTC),
            id="seven-decimals-are-cut-to-six",
        ),
        pytest.param(
            "Instant", "2025-03-01T24:00:00Z", "instant", datetime(2025, 3, 2, tzinfo=UTC), id="midnight-of-next-day"
        ),
        pytest.param("Colour", "2", "colour", Colour.GREEN, id="code-without-its-zero"),
        pytest.param("Colour", "01", "colour", Colour.RED, id="code-with-a-zero"),
        pytest.param("Until", "2025-03-31", "until", date(2025, 4, 1), id="inclusive-end-is-the-day-before"),
        pytest.param("Until", "9999-12-31", "until", None, id="open-end"),
        pytest.param("Until", "9999-12-30", "until", date(9999, 12, 31), id="last-but-one-day"),
    )

    @pytest.mark.parametrize(("tag", "text", "name", "value"), CASES)
    def test_read_the_text(self, tag: str, text: str, name: str, value: Any) -> None:
        assert getattr(leaves(**{tag: text}), name) == value

    WRONG = (
        pytest.param("Flag", "yes", "true, false, 1 or 0", id="flag"),
        pytest.param("Number", "1.5", "a whole number", id="number"),
        pytest.param("Amount", "NaN", "a decimal number", id="not-a-number"),
        pytest.param("Amount", "many", "a decimal number", id="amount"),
        pytest.param("Day", "2025-02-29", "a date (YYYY-MM-DD)", id="no-such-day"),
        pytest.param("Time", "25:00:00", "a time (hh:mm:ss)", id="no-such-time"),
        pytest.param("Instant", "0001-01-01T00:00:00+05:00", "an instant (YYYY-MM-DDThh:mm:ssZ)", id="before-year-one"),
        pytest.param("Instant", "9999-12-31T24:00:00Z", "an instant (YYYY-MM-DDThh:mm:ssZ)", id="after-year-9999"),
        pytest.param("Colour", "3", "one of 1, 02", id="code-without-member"),
    )

    @pytest.mark.parametrize(("tag", "text", "expected"), WRONG)
    def test_refuse_what_the_value_cannot_hold(self, tag: str, text: str, expected: str) -> None:
        with pytest.raises(BindingError) as caught:
            leaves(**{tag: text})
        assert (caught.value.path, caught.value.expected, caught.value.found) == (tag, expected, repr(text))

    def test_are_none_when_missing(self) -> None:
        assert leaves() == Leaves()
        assert leaves().text is None


class TestBind:
    SOURCE = """<X><A><ID>outer</ID><B complete="true"><ID>inner</ID></B><C>1</C><C>2</C>
        <D scheme="s">d1</D><Unknown><ID>no</ID></Unknown><D>d2</D><E>e</E></A><ID>top</ID></X>"""

    def test_finds_each_field_by_its_path(self) -> None:
        assert bind(Deep, etree.fromstring(self.SOURCE)) == Deep(
            outer_id="outer",
            inner_id="inner",
            complete=True,
            texts=("1", "2"),
            nested=(Nested(text="d1", scheme="s"), Nested(text="d2")),
            one=Nested(text="e"),
        )

    def test_skips_comments(self) -> None:
        source = self.SOURCE.replace("<B ", "<!-- B --><?pi x?><B ")
        assert bind(Deep, etree.fromstring(source)) == bind(Deep, etree.fromstring(self.SOURCE))

    def test_refuses_a_missing_mandatory_field_by_its_path(self) -> None:
        with pytest.raises(BindingError, match="A/B/ID: expected an element, found nothing"):
            bind(Deep, etree.fromstring("<X><A><ID>1</ID></A></X>"))

    def test_names_the_line(self) -> None:
        with pytest.raises(BindingError) as caught:
            bind(Leaves, etree.fromstring("<X>\n\n<Number>x</Number></X>"))
        assert caught.value.line == 3

    def test_leaves_fields_without_a_path_at_their_default(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Marked:
            text: str = wire("Text")
            note: str = "default"

        assert bind(Marked, etree.fromstring("<X><Text>1</Text></X>")) == Marked(text="1")

    def test_uses_the_default_of_a_field(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Flagged:
            flag: bool = wire("Flag", default=False)

        assert bind(Flagged, etree.fromstring("<X/>")).flag is False
        assert bind(Flagged, etree.fromstring("<X><Flag>1</Flag></X>")).flag is True


class TestWrite:
    def registers(self, **changes: Any) -> Registers:
        register = Register(
            valid_from=date(2025, 1, 1),
            valid_to=changes.pop("valid_to", None),
            task_id="000000000000000042",
            digits=changes.pop("digits", None),
            unit="KWH",
            factor=changes.pop("factor", None),
        )
        return Registers(ams="AEML", registers=(register,), device_id="0001", **changes)

    def test_follows_the_order_of_the_contract(self) -> None:
        element = write(self.registers(), name="X", of=REGISTERS)
        assert [child.tag for child in element.find("UtilitiesDevice")] == ["ID", "Register", "SmartMeter"]

    def test_leaves_out_what_is_none_and_what_would_be_empty(self) -> None:
        text = etree.tostring(write(self.registers(), name="X", of=REGISTERS), encoding="unicode")
        assert "DecimalValuePrecision" not in text
        assert "schemeID" not in text
        text = etree.tostring(write(self.registers(digits=6, device_scheme="s"), name="X", of=REGISTERS)).decode()
        assert "<DecimalValuePrecision><TotalDigitNumberValue>6</TotalDigitNumberValue></DecimalValue" in text
        assert '<ID schemeID="s">0001</ID>' in text

    @pytest.mark.parametrize(
        ("until", "text"),
        [
            pytest.param(None, "9999-12-31", id="open-end"),
            pytest.param(date(2025, 4, 1), "2025-03-31", id="day-before-the-end"),
        ],
    )
    def test_writes_the_inclusive_end(self, until: date | None, text: str) -> None:
        element = write(self.registers(valid_to=until), name="X", of=REGISTERS)
        assert element.findtext("UtilitiesDevice/Register/EndDate") == text

    def test_writes_decimals_without_exponent(self) -> None:
        element = write(self.registers(factor=Decimal("1E+3")), name="X", of=REGISTERS)
        path = "UtilitiesDevice/Register/Specifications/MeterReadingResultAdjustmentFactorValue"
        assert element.findtext(path) == "1000"

    def test_writes_instants_in_utc_as_the_type_wants_them(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Query:
            start: datetime = wire(
                "UtilitiesTimeSeriesItemSelectionByID/UtilitiesTimeSeriesItemValidityPeriod/StartDateTime"
            )

        @dataclass(frozen=True, kw_only=True, slots=True)
        class Event:
            at: datetime = wire("UtilitiesSmartMeterEvent/DateTime")

        instant = datetime.fromisoformat("2025-03-01T10:00:00+05:30")
        assert etree.tostring(write(Query(start=instant), name="X", of=QUERY)).count(b">2025-03-01T04:30:00<") == 1
        assert etree.tostring(write(Event(at=instant), name="X", of=EVENT)).count(b">2025-03-01T04:30:00Z<") == 1

    def test_refuses_an_instant_without_zone(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Event:
            at: datetime = wire("UtilitiesSmartMeterEvent/DateTime")

        with pytest.raises(ValueError, match="no time zone"):
            write(Event(at=datetime(2025, 3, 1)), name="X", of=EVENT)  # noqa: DTZ001

    def test_writes_the_end_of_the_day_as_sap_does(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Location:
            at: time = wire("InstallationTime")

        of = catalog().types["UtilsDvceERPSmrtMtrLocNotifModifInfo"]
        assert write(Location(at=END_OF_DAY), name="X", of=of).findtext("InstallationTime") == "24:00:00"
        assert write(Location(at=time(0)), name="X", of=of).findtext("InstallationTime") == "00:00:00"

    def test_refuses_a_place_the_contract_does_not_have(self) -> None:
        with pytest.raises(ShapeError, match="has no element"):
            write(Deep(outer_id="1", inner_id="2"), name="X", of=LOCATION)

    def test_refuses_a_character_xml_cannot_hold(self) -> None:
        with pytest.raises(ValueError, match="XML compatible"):
            write(self.registers(device_scheme="\x00"), name="X", of=REGISTERS)


class TestShapes:
    def test_default_by_their_annotation(self) -> None:
        value = Deep(outer_id="1", inner_id="2")
        assert (value.complete, value.texts, value.one) == (None, (), None)
        with pytest.raises(TypeError, match="inner_id"):
            Deep(outer_id="1")

    @pytest.mark.parametrize("path", ["", "A//B", "/A", "A/@", "A/"])
    def test_refuse_a_path_that_is_none(self, path: str) -> None:
        with pytest.raises(ShapeError, match="no wire path"):
            wire(path)

    def test_refuse_two_fields_at_one_place(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Twins:
            one: str = wire("A")
            two: str = wire("A")

        with pytest.raises(ShapeError, match="one and two both stand at A"):
            bind(Twins, etree.Element("X"))

    def test_refuse_a_type_the_wire_does_not_have(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Wrong:
            one: list[str] = wire("A")

        with pytest.raises(ShapeError, match="cannot stand on the wire"):
            bind(Wrong, etree.Element("X"))

    def test_refuse_a_field_with_neither_path_nor_default(self) -> None:
        @dataclass(frozen=True, kw_only=True, slots=True)
        class Bare:
            one: str

        with pytest.raises(ShapeError, match="neither a wire path nor a default"):
            bind(Bare, etree.Element("X"))


class TestShapeVersion:
    def make(self, path: str, kind: Any = str, *, end: bool = False) -> type:
        from dataclasses import make_dataclass

        wired = wire_end(path) if end else wire(path)
        return make_dataclass("Shape", [("field", kind, wired)], frozen=True, kw_only=True)

    def test_stays_while_the_shape_does(self) -> None:
        assert shape_version(self.make("A")) == shape_version(self.make("A"))
        assert len(shape_version(self.make("A"))) == 12

    def test_changes_with_path_type_and_meaning(self) -> None:
        versions = {
            shape_version(self.make("A")),
            shape_version(self.make("B")),
            shape_version(self.make("A", int)),
            shape_version(self.make("A", str | None)),
            shape_version(self.make("A", date | None)),
            shape_version(self.make("A", date | None, end=True)),
        }
        assert len(versions) == 6

    def test_changes_with_a_nested_shape(self) -> None:
        assert shape_version(self.make("A", self.make("B"))) != shape_version(self.make("A", self.make("C")))
