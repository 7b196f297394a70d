"""What meters tell by themselves, in messages of any style and vintage."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.head_end import (
    FieldAlarm,
    FieldIntervals,
    FieldReading,
    Heard,
    Unmapped,
    UnreadableLine,
)
from mdus.domain.quantities import Quantities
from tests.unit.headends.cim.messages import (
    BASES,
    ENERGY,
    QUARTERS,
    block,
    created,
    decode,
    event,
    meter_reading,
    reading,
    reply,
    soap,
)
from tests.unit.headends.samples import AT, CORRELATION, SERIAL, stored_reading

OTHER = "0000005678"
MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)


class TestStyles:
    @pytest.mark.parametrize("base", BASES.values(), ids=BASES)
    @pytest.mark.parametrize("typed", [True, False], ids=["typed", "generic"])
    def test_both_are_read_in_both_vintages(self, base: str, typed: bool) -> None:
        body = created("MeterReadings", meter_reading(reading()), base=base, typed=typed)

        assert decode(body) == [stored_reading()]

    def test_children_may_stand_in_any_order(self) -> None:
        told = (
            '<Payload><MeterReadings><MeterReading><Readings><ReadingType ref="0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/>'
            "<value>1.50</value><timeStamp>2026-03-29T01:00:04Z</timeStamp></Readings>"
            f"<Meter><serialNumber>{SERIAL}</serialNumber></Meter></MeterReading></MeterReadings></Payload>"
        )
        header = "<Header><Noun>MeterReadings</Noun><MessageID>1</MessageID><Verb>created</Verb></Header>"

        assert decode(soap(f"<EventMessage>{told}{header}</EventMessage>")) == [stored_reading(value=Decimal("1.50"))]

    def test_soap_1_2_is_read(self) -> None:
        body = created("MeterReadings", meter_reading(reading()))

        assert decode(body.replace(b"schemas.xmlsoap.org/soap/envelope/", b"www.w3.org/2003/05/soap-envelope"))

    def test_a_compressed_payload_is_read(self) -> None:
        content = f"<MeterReadings>{meter_reading(reading())}</MeterReadings>".encode()
        packed = base64.encodebytes(gzip.compress(content)).decode()
        payload = f"<t:Payload><t:Compressed>{packed}</t:Compressed><t:Format>XML</t:Format></t:Payload>"

        (result,) = decode(reply("MeterReadings", raw_payload=payload))

        assert result.readings == (stored_reading(),)

    def test_a_compressed_payload_that_is_cut_off_is_refused(self) -> None:
        packed = base64.b64encode(gzip.compress(b"<MeterReadings/>")[:-6]).decode()

        with pytest.raises(ValueError, match="compressed payload is cut off"):
            decode(reply("MeterReadings", raw_payload=f"<t:Payload><t:Compressed>{packed}</t:Compressed></t:Payload>"))

    def test_a_compressed_payload_that_unpacks_to_more_than_32_mb_is_refused(self) -> None:
        packed = base64.b64encode(gzip.compress(b" " * (32 * 1024 * 1024 + 1))).decode()

        with pytest.raises(ValueError, match="more than 33554432 bytes"):
            decode(reply("MeterReadings", raw_payload=f"<t:Payload><t:Compressed>{packed}</t:Compressed></t:Payload>"))

    def test_the_operations_of_a_set_are_read(self) -> None:
        operations = "".join(
            f"<Operation><operationId>{number}</operationId><noun>{noun}</noun><verb>created</verb>"
            f"<{noun}>{content}</{noun}></Operation>"
            for number, noun, content in (
                (1, "MeterReadings", meter_reading(reading())),
                (2, "EndDeviceEvents", event("3.26.0.85")),
            )
        )
        body = created("OperationSet", "x").replace(
            b'<OperationSet xmlns="http://iec.ch/TC57/2011/OperationSet#">x</OperationSet>',
            f"<OperationSet>{operations}</OperationSet>".encode(),
        )

        assert [type(each) for each in decode(body)] == [FieldReading, FieldAlarm]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"<html/>", "not a SOAP Envelope", id="no envelope"),
            pytest.param(b"hello", "not well-formed", id="no XML"),
            pytest.param(b"", "not well-formed", id="nothing"),
            pytest.param(soap(""), "Body is missing or empty", id="empty body"),
            pytest.param(soap("<Hello/>"), "neither Header nor Reply", id="no message"),
            pytest.param(
                b'<!DOCTYPE a [<!ENTITY b "c">]>' + soap("<Hello/>"), "document type declaration", id="with a DTD"
            ),
        ],
    )
    def test_anything_but_a_message_is_unreadable(self, body: bytes, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            decode(body)

    def test_nothing_is_pushed_under_another_topic(self) -> None:
        with pytest.raises(ValueError, match="'results'"):
            decode(created("MeterReadings", meter_reading(reading())), topic="results")

    def test_a_payload_of_another_noun_costs_nothing_else(self) -> None:
        (mistake,) = decode(created("Faults", "<Fault/>"))

        assert mistake.reason == "nothing is known of created Faults"


class TestReadings:
    def test_a_code_no_table_explains_is_told_as_it_came(self) -> None:
        mrid = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.99.0"

        assert decode(created("MeterReadings", meter_reading(reading("7", mrid=mrid, quality="1.5.257")))) == [
            Unmapped(serial_id=SERIAL, source="channel", code=f"mrid: {mrid}", at=AT, value="7", text="1.5.257")
        ]

    def test_a_value_that_is_no_number_costs_the_others_nothing(self) -> None:
        mistake, good = sorted(
            decode(created("MeterReadings", meter_reading(reading("12,5"), reading("13")))),
            key=lambda each: isinstance(each, FieldReading),
        )

        assert mistake == UnreadableLine(line=1, reason="'12,5' is not a number")
        assert good.value == Decimal(13)

    @pytest.mark.parametrize("value", ["1E+61", "1E-61", "0E+1000000", "-9E+99999999999999999999"])
    def test_a_number_beyond_all_measure_costs_the_others_nothing(self, value: str) -> None:
        told = decode(created("MeterReadings", meter_reading(reading(value), reading("13"))))

        assert [type(each) for each in told] == [FieldReading, UnreadableLine]

    def test_a_large_number_is_read(self) -> None:
        assert decode(created("MeterReadings", meter_reading(reading("1E+12")))) == [
            stored_reading(value=Decimal("1E+12"))
        ]

    @pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"])
    def test_an_instant_beyond_all_calendars_costs_the_others_nothing(self, at: str) -> None:
        told = decode(created("MeterReadings", meter_reading(reading(at=at), reading(), block((at, "1")))))

        assert [type(each) for each in told] == [FieldReading, UnreadableLine, UnreadableLine]

    def test_a_reading_without_a_value_is_none(self) -> None:
        assert decode(created("MeterReadings", meter_reading(reading("")))) == []

    def test_a_meter_without_a_name_is_a_mistake(self) -> None:
        (mistake,) = decode(created("MeterReadings", f"<MeterReading>{reading()}</MeterReading>"))

        assert mistake.reason == "a MeterReading names no meter"

    def test_an_instant_without_zone_is_refused(self) -> None:
        (mistake,) = decode(created("MeterReadings", meter_reading(reading(at="2026-03-29T03:00:04"))))

        assert "an instant without zone" in mistake.reason

    def test_an_instant_without_zone_is_of_the_zone_said(self) -> None:
        body = created("MeterReadings", meter_reading(reading(at="2026-03-29T03:00:04")))

        assert decode(body, zone_of_local_times="Europe/Berlin") == [stored_reading()]

    @pytest.mark.parametrize(
        ("mrid", "reading_type", "unit"),
        [
            pytest.param("0.0.0.9.1.1.12.0.0.0.0.1.0.0.0.3.72.0", "1-0:1.8.1*255", "kWh", id="summation"),
            pytest.param("0.0.0.1.1.1.12.0.0.0.0.1.0.0.0.3.72.0", "1-0:1.8.1*255", "kWh", id="bulk quantity"),
            pytest.param("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0", "7-0:3.0.0*255", "m3", id="gas"),
        ],
    )
    def test_peers_write_a_channel_in_several_ways(self, mrid: str, reading_type: str, unit: str) -> None:
        (told,) = decode(created("MeterReadings", meter_reading(reading(mrid=mrid))))

        assert (told.reading_type, told.unit) == (reading_type, unit)

    def test_of_another_multiplier_are_converted(self) -> None:
        wh = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"

        assert decode(created("MeterReadings", meter_reading(reading("12345670", mrid=wh)))) == [
            stored_reading(value=Decimal("12345.670"))
        ]

    def test_of_a_register_are_none_of_intervals_though_they_stand_in_a_block(self) -> None:
        told = decode(created("MeterReadings", meter_reading(block(("2026-03-29T01:00:04Z", "12345.67"), mrid=ENERGY))))

        assert told == [stored_reading()]

    def test_any_name_but_saps_names_the_meter(self) -> None:
        names = (
            "<Names><name>10042</name><NameType><name>UtilitiesDeviceID</name></NameType></Names>"
            "<Names><name>77</name></Names>"
        )
        body = created("MeterReadings", f"<MeterReading><Meter>{names}</Meter>{reading()}</MeterReading>")

        assert decode(body) == [stored_reading(serial_id="77")]


class TestIntervals:
    def test_stand_at_their_end(self) -> None:
        body = created(
            "MeterReadings",
            meter_reading(block(("2026-03-28T23:15:00Z", "0.10"), ("2026-03-28T23:30:00Z", "0.20"))),
        )

        assert decode(body) == [
            FieldIntervals(
                serial_id=SERIAL,
                reading_type="1-0:1.29.0*255",
                unit="kWh",
                interval_minutes=15,
                start_at=MIDNIGHT,
                values=Quantities.of([Decimal("0.10"), Decimal("0.20")]),
            )
        ]

    def test_a_period_goes_before_the_time_stamp(self) -> None:
        value = (
            "<IntervalReadings><timeStamp>2026-03-28T23:00:00Z</timeStamp><value>0.10</value><timePeriod>"
            "<start>2026-03-28T23:00:00Z</start><end>2026-03-28T23:15:00Z</end></timePeriod></IntervalReadings>"
        )

        (told,) = decode(created("MeterReadings", meter_reading(block(value))))

        assert (told.start_at, told.interval_minutes) == (MIDNIGHT, 15)

    def test_a_period_of_another_length_is_a_mistake_and_no_grid(self) -> None:
        odd = (
            "<IntervalReadings><value>9</value><timePeriod>"
            "<start>2026-03-28T23:00:00Z</start><end>2026-03-28T23:30:00Z</end></timePeriod></IntervalReadings>"
        )

        told, mistake = decode(
            created(
                "MeterReadings",
                meter_reading(block(odd, ("2026-03-28T23:15:00Z", "1"), ("2026-03-28T23:30:00Z", "2"))),
            )
        )

        assert (told.start_at, told.interval_minutes) == (MIDNIGHT, 15)
        assert list(told.values) == [Decimal(1), Decimal(2)]
        assert "an interval of 15 minutes is expected, found 2026-03-28 23:00" in mistake.reason

    def test_a_gap_begins_a_new_block(self) -> None:
        body = created(
            "MeterReadings",
            meter_reading(
                block(("2026-03-28T23:45:00Z", "3"), ("2026-03-28T23:15:00Z", "1"), ("2026-03-29T00:00:00Z", "4"))
            ),
        )

        assert [(each.start_at - MIDNIGHT, list(each.values)) for each in decode(body)] == [
            (timedelta(0), [Decimal(1)]),
            (timedelta(minutes=30), [Decimal(3), Decimal(4)]),
        ]

    def test_a_missing_value_keeps_its_place_and_quality(self) -> None:
        missing = (
            "<IntervalReadings><timeStamp>2026-03-28T23:30:00Z</timeStamp>"
            '<ReadingQualities><ReadingQualityType ref="2.5.259"/></ReadingQualities></IntervalReadings>'
        )
        valid = (
            "<IntervalReadings><timeStamp>2026-03-28T23:15:00Z</timeStamp><value>1.5</value>"
            '<ReadingQualities><ReadingQualityType ref="2.0.0"/></ReadingQualities></IntervalReadings>'
        )

        (told,) = decode(created("MeterReadings", meter_reading(block(valid, missing))))

        assert list(told.values) == [Decimal("1.5"), None]
        assert list(told.qualities) == [None, "2.5.259"]

    def test_a_quality_that_is_none_is_told_as_it_came(self) -> None:
        strange = (
            "<IntervalReadings><timeStamp>2026-03-28T23:15:00Z</timeStamp><value>1</value>"
            '<ReadingQualities><ReadingQualityType ref="ESTIMATED"/></ReadingQualities></IntervalReadings>'
        )

        told, unmapped = decode(created("MeterReadings", meter_reading(block(strange))))

        assert list(told.values) == [Decimal(1)]
        assert (unmapped.source, unmapped.code) == ("quality", "ESTIMATED")

    def test_of_an_interval_told_twice_the_last_counts(self) -> None:
        body = created(
            "MeterReadings",
            meter_reading(block(("2026-03-28T23:15:00Z", "1")), block(("2026-03-28T23:15:00Z", "2"))),
        )

        (told,) = decode(body)

        assert list(told.values) == [Decimal(2)]

    def test_that_stand_among_the_registers_are_intervals(self) -> None:
        (told,) = decode(
            created("MeterReadings", meter_reading(reading("1", mrid=QUARTERS, at="2026-03-28T23:15:00Z")))
        )

        assert isinstance(told, FieldIntervals)
        assert told.start_at == MIDNIGHT

    def test_of_another_multiplier_are_converted(self) -> None:
        wh = QUARTERS.replace("3.72", "0.72")

        (told,) = decode(created("MeterReadings", meter_reading(block(("2026-03-28T23:15:00Z", "1500"), mrid=wh))))

        assert (told.unit, list(told.values)) == ("kWh", [Decimal("1.5")])

    def test_of_an_unknown_channel_are_told_one_by_one(self) -> None:
        mrid = QUARTERS.replace("72", "99")

        told = decode(created("MeterReadings", meter_reading(block(("2026-03-28T23:15:00Z", "1"), mrid=mrid))))

        assert told == [
            Unmapped(
                serial_id=SERIAL, source="channel", code=f"mrid: {mrid}", at=MIDNIGHT + timedelta(minutes=15), value="1"
            )
        ]


class TestDoubledHour:
    """2025-10-26 in Berlin: 02:00 to 03:00 is there twice, from 00:00 and from 01:00 UTC."""

    ZONE = "Europe/Berlin"

    def told(self, *walls: str) -> list[Any]:
        values = [(f"2025-10-26T{wall}:00", str(place)) for place, wall in enumerate(walls)]
        return decode(created("MeterReadings", meter_reading(block(*values))), zone_of_local_times=self.ZONE)

    def test_is_told_apart_by_the_order_of_a_block(self) -> None:
        walls = ("01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00")

        (told,) = self.told(*walls)

        assert told.start_at == datetime(2025, 10, 25, 23, 30, tzinfo=UTC)
        assert list(told.values) == [Decimal(place) for place in range(10)]
        (backwards,) = self.told(*walls[::-1])
        assert list(backwards.values) == [Decimal(place) for place in reversed(range(10))]

    def test_is_told_apart_by_the_time_that_follows(self) -> None:
        (told,) = self.told("02:30", "02:45", "03:00")

        assert told.start_at == datetime(2025, 10, 26, 1, 15, tzinfo=UTC)

    def test_is_told_apart_by_the_time_before(self) -> None:
        (told,) = self.told("01:45", "02:00", "02:15")

        assert told.start_at == datetime(2025, 10, 25, 23, 30, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("walls", "open_ones"),
        [
            pytest.param(("02:15", "02:30"), 2, id="nothing around"),
            pytest.param(("01:45", "02:00", "02:15", "02:30", "02:45", "03:00"), 4, id="one hour of two"),
            pytest.param(("02:15", "02:00", "02:15", "02:00", "02:30"), 5, id="no order"),
        ],
    )
    def test_is_a_mistake_where_no_order_tells_it_apart(self, walls: tuple[str, ...], open_ones: int) -> None:
        mistakes = [each for each in self.told(*walls) if isinstance(each, UnreadableLine)]

        assert len(mistakes) == open_ones
        assert "a local time that is there twice" in mistakes[0].reason

    def test_is_told_apart_by_the_length_of_its_channel(self) -> None:
        (told,) = self.told("01:45", "02:00")

        assert (told.start_at, len(told.values)) == (datetime(2025, 10, 25, 23, 30, tzinfo=UTC), 2)
        assert {type(each) for each in self.told("01:30", "02:00")} == {UnreadableLine, FieldIntervals}

    def test_of_a_lone_event_is_a_mistake(self) -> None:
        body = created("EndDeviceEvents", event("3.31.0.68").replace("2026-03-29T01:12:44Z", "2025-10-26T02:30:00"))

        (mistake,) = decode(body, zone_of_local_times=self.ZONE)

        assert isinstance(mistake, UnreadableLine)
        assert "is there twice in Europe/Berlin" in mistake.reason

    @pytest.mark.parametrize(("at", "is_shown"), [("02:00:00", True), ("02:30:00", False)])
    def test_has_a_skipped_one_beside_it_that_no_clock_shows(self, at: str, is_shown: bool) -> None:
        body = created("MeterReadings", meter_reading(reading(at=f"2026-03-29T{at}")))

        (told,) = decode(body, zone_of_local_times=self.ZONE)

        assert isinstance(told, FieldReading) is is_shown
        assert is_shown or "no clock shows in Europe/Berlin" in told.reason

    def test_of_a_lone_reading_is_a_mistake(self) -> None:
        body = created("MeterReadings", meter_reading(reading(at="2025-10-26T02:30:00")))

        (mistake,) = decode(body, zone_of_local_times=self.ZONE)

        assert isinstance(mistake, UnreadableLine)

    def test_with_an_offset_is_as_it_says(self) -> None:
        body = created("MeterReadings", meter_reading(reading(at="2025-10-26T02:30:00+01:00")))

        (told,) = decode(body, zone_of_local_times=self.ZONE)

        assert told.measured_at == datetime(2025, 10, 26, 1, 30, tzinfo=UTC)

    def test_of_periods_is_told_apart_at_both_ends(self) -> None:
        ends = ("01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00")
        values = [
            f"<IntervalReadings><value>1</value><timePeriod><start>2025-10-26T{start}:00</start>"
            f"<end>2025-10-26T{end}:00</end></timePeriod></IntervalReadings>"
            for start, end in zip(("01:30", *ends), ends, strict=False)
        ]

        (told,) = decode(created("MeterReadings", meter_reading(block(*values))), zone_of_local_times=self.ZONE)

        assert (told.start_at, len(told.values)) == (datetime(2025, 10, 25, 23, 30, tzinfo=UTC), 10)


class TestEvents:
    def test_are_told_with_code_instant_id_and_details(self) -> None:
        more = (
            "<reason>power failed</reason><EndDeviceEventDetails><name>seconds</name><value>30</value>"
            "</EndDeviceEventDetails>"
        )

        assert decode(created("EndDeviceEvents", event("3.26.0.85", more=more), typed=True)) == [
            FieldAlarm(
                serial_id=SERIAL,
                event_type="3.26.0.85",
                at=datetime(2026, 3, 29, 1, 12, 44, tzinfo=UTC),
                source_id="e-1",
                text="power failed",
                properties=(("seconds", "30"),),
            )
        ]

    def test_of_another_code_in_use_are_told_as_the_one_they_mean(self) -> None:
        (told,) = decode(created("EndDeviceEvents", event("0.26.38.49")))

        assert told.event_type == "3.26.0.216"

    def test_a_code_that_is_none_is_told_as_it_came(self) -> None:
        (told,) = decode(created("EndDeviceEvents", event("PowerDown", more="<reason>gone</reason>")))

        assert told == Unmapped(
            serial_id=SERIAL,
            source="event",
            code="iec: PowerDown",
            at=datetime(2026, 3, 29, 1, 12, 44, tzinfo=UTC),
            text="gone",
        )

    def test_a_first_sign_of_life_is_heard(self) -> None:
        (told,) = decode(created("EndDeviceEvents", event("3.1.0.42")))

        assert isinstance(told, Heard)

    def test_an_event_without_an_instant_costs_the_others_nothing(self) -> None:
        bad = event("3.26.0.85").replace("<createdDateTime>2026-03-29T01:12:44Z</createdDateTime>", "")

        mistake, good = decode(created("EndDeviceEvents", bad + event("3.26.0.216")))

        assert isinstance(mistake, UnreadableLine)
        assert good.event_type == "3.26.0.216"

    def test_are_evidence_and_never_the_reply(self) -> None:
        told = decode(created("EndDeviceEvents", event("3.31.0.68"), correlation=CORRELATION))

        assert [type(each) for each in told] == [FieldAlarm]
