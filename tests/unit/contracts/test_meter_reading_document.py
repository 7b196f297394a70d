"""Channels of a MeterReadingDocument, and what sets one of them aside."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from mdus.contracts.meter_reading_document import Channel, SetAside, channels

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)

TABLE = """<ReadingStatusRefTable>
 <ReadingStatusRef Ref="7"><UnencodedStatus SourceValidation="NV">
  <StatusCodes><Code>EST</Code><Code>POWER</Code></StatusCodes>
 </UnencodedStatus></ReadingStatusRef>
 <ReadingStatusRef Ref="8"><UnencodedStatus SourceValidation="NV"><StatusCodes/></UnencodedStatus></ReadingStatusRef>
</ReadingStatusRefTable>"""
PERIOD = '<TimePeriod StartTime="2026-03-27T11:00:00Z" EndTime="2026-03-27T11:30:00Z"/>'
PAIR = '<Reading Value="1.25" StatusRef="7"/><Reading Value="2"/>'


def document(*inside: str, table: str = TABLE) -> bytes:
    header = '<Header><Creation_Datetime Datetime="2026-03-27T12:00:00Z"/></Header>'
    return (
        f"<MeterReadingDocument>{header}{table}<Channels>{''.join(inside)}</Channels></MeterReadingDocument>".encode()
    )


def profile(
    attributes: str = 'IntervalLength="15"',
    *,
    name: str = "0000001234:1",
    number: str = ' NumberOfReadings="2"',
    period: str = PERIOD,
    readings: str = PAIR,
) -> str:
    return (
        f'<Channel {attributes}><ChannelID IntervalChannelID="{name}"/><ContiguousIntervalSets>'
        f"<ContiguousIntervalSet{number}>{period}<Readings>{readings}</Readings>"
        "</ContiguousIntervalSet></ContiguousIntervalSets></Channel>"
    )


def register(attributes: str = 'IsRegister="true"', readings: str = "") -> str:
    readings = readings or '<Reading Value="0012345.60" ReadingTime="2026-03-27T11:00:00Z"/>'
    return (
        f'<Channel {attributes}><ChannelID EndPointUOMID="2.16.840.1.7:KWH"/><Readings>{readings}</Readings></Channel>'
    )


def read(body: bytes) -> list[Channel | SetAside]:
    return list(channels(body, zone=BERLIN))


def one(body: bytes) -> Channel:
    (found,) = read(body)
    assert isinstance(found, Channel), found
    return found


def reason(body: bytes) -> str:
    (found,) = read(body)
    assert isinstance(found, SetAside), found
    return found.reason


class TestIntervals:
    def test_are_read_with_their_statuses(self) -> None:
        channel = one(document(profile()))

        assert (channel.meter, channel.channel, channel.named_by) == ("0000001234", "1", "IntervalChannelID")
        assert (channel.is_register, channel.interval_minutes, channel.factor) == (False, 15, Decimal(1))
        (found,) = channel.sets
        assert (found.start_at, found.values) == (NOON, ("1.25", "2"))
        assert found.statuses == (("EST", "POWER"), ())

    def test_are_read_in_any_order_of_attributes_and_any_namespace(self) -> None:
        swapped = profile(period='<TimePeriod EndTime="2026-03-27T11:30:00Z" StartTime="2026-03-27T11:00:00Z"/>')
        body = document(swapped).replace(b"<MeterReadingDocument>", b'<MeterReadingDocument xmlns="urn:a">')

        assert one(body).sets == one(document(profile())).sets

    def test_are_read_inside_an_envelope(self) -> None:
        body = b"<Envelope><Body><Arrived>" + document(profile()) + b"</Arrived></Body></Envelope>"

        assert one(body).sets[0].values == ("1.25", "2")

    def test_are_read_from_a_file(self) -> None:
        assert len(list(channels(io.BytesIO(document(profile(), profile())), zone=BERLIN))) == 2

    def test_keep_places_without_a_value(self) -> None:
        assert one(document(profile(readings='<Reading Value=""/><Reading/>'))).sets[0].values == ("", "")

    def test_of_pulses_have_the_multiplier_for_factor(self) -> None:
        pulses = 'IntervalLength="15" ReadingsInPulse="true" PulseMultiplier="0.025"'

        assert one(document(profile(pulses))).factor == Decimal("0.025")
        assert one(document(profile(pulses.replace('"true"', '"false"')))).factor == 1

    def test_take_minus_one_for_not_set(self) -> None:
        channel = one(document(profile('IntervalLength="15" NumberOfDials="-1" PulseMultiplier="-1"')))

        assert (channel.dials, channel.factor) == (None, 1)

    @pytest.mark.parametrize(
        ("begin", "end", "hours", "first"),
        [
            pytest.param("2026-03-29T00:00:00", "2026-03-30T00:00:00", 23, (3, 28, 23), id="23 hours"),
            pytest.param("2026-10-25T00:00:00", "2026-10-26T00:00:00", 25, (10, 24, 22), id="25 hours"),
            pytest.param("2026-10-25T02:00:00", "2026-10-25T03:00:00", 2, (10, 25, 0), id="hour twice"),
            pytest.param("2026-10-25T02:00:00", "2026-10-25T03:00:00", 1, (10, 25, 1), id="its second"),
            pytest.param("2026-03-29T01:00:00", "2026-03-29T02:00:00", 1, (3, 29, 0), id="up to an hour left out"),
            pytest.param("2026-03-29T02:00:00", "2026-03-29T04:00:00", 1, (3, 29, 1), id="from an hour left out"),
            pytest.param("2026-03-29T03:00:00", "2026-03-29T04:00:00", 1, (3, 29, 1), id="behind an hour left out"),
        ],
    )
    def test_of_times_without_offset_are_of_the_zone(
        self, begin: str, end: str, hours: int, first: tuple[int, int, int]
    ) -> None:
        period = f'<TimePeriod StartTime="{begin}" EndTime="{end}"/>'
        body = document(
            profile('IntervalLength="60"', number="", period=period, readings='<Reading Value="1"/>' * hours)
        )

        month, day, hour = first
        assert one(body).sets[0].start_at == datetime(2026, month, day, hour, tzinfo=UTC)

    @pytest.mark.parametrize(
        "period",
        [
            pytest.param('StartTime="2026-10-25T02:15:00" EndTime="2026-10-25T02:45:00"', id="in both hours"),
            pytest.param('StartTime="2026-10-25T02:30:00"', id="without an end"),
        ],
    )
    def test_of_times_that_may_be_of_either_hour_are_set_aside(self, period: str) -> None:
        found = document(profile(period=f"<TimePeriod {period}/>"))
        assert "there twice" in reason(found)
        assert one(document(profile(period='<TimePeriod StartTime="2026-10-25T03:30:00"/>'))).sets

    def test_of_a_day_whose_midnight_is_left_out_are_of_its_23_hours(self) -> None:
        period = '<TimePeriod StartTime="2026-03-08T00:00:00" EndTime="2026-03-09T00:00:00"/>'
        hours = profile('IntervalLength="60"', number="", period=period, readings='<Reading Value="1"/>' * 23)

        (found,) = channels(document(hours), zone=ZoneInfo("America/Havana"))

        assert isinstance(found, Channel)
        assert found.sets[0].start_at == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)

    def test_of_times_without_offset_are_of_the_zone_the_channel_names(self) -> None:
        period = '<TimePeriod StartTime="2026-03-27T11:00:00" EndTime="2026-03-27T11:30:00"/>'
        known = document(profile('IntervalLength="15" TimeZone="UTC"', period=period))
        named = document(profile('IntervalLength="15" TimeZone="Athens"', period=period))

        assert one(known).sets[0].start_at == NOON
        (found,) = channels(named, zone=BERLIN, zones={"Athens": ZoneInfo("Europe/Athens")})
        assert isinstance(found, Channel)
        assert found.sets[0].start_at == NOON - timedelta(hours=2)
        assert "of the zone 'Athens', which is not known" in reason(named)


class TestRegisters:
    def test_are_read_with_their_instants(self) -> None:
        channel = one(document(register()))

        assert (channel.meter, channel.channel, channel.named_by) == ("2.16.840.1.7", "KWH", "EndPointUOMID")
        assert channel.is_register
        (reading,) = channel.readings
        assert (reading.read_at, reading.value) == (NOON, "0012345.60")

    def test_without_an_instant_have_the_end_of_the_channel(self) -> None:
        whole = register('IsRegister="true" EndDate="2026-03-27T11:00:00Z"', '<Reading Value="5"/>')

        assert one(document(whole)).readings[0].read_at == NOON
        assert "without ReadingTime" in reason(document(register(readings='<Reading Value="5"/>')))

    def test_at_a_time_that_is_there_twice_are_set_aside(self) -> None:
        def at(text: str) -> bytes:
            return document(register(readings=f'<Reading Value="5" ReadingTime="2026-10-25T{text}"/>'))

        assert "the time 2026-10-25T02:30:00 is there twice" in reason(at("02:30:00"))
        assert one(at("02:30:00+01:00")).readings[0].read_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
        assert one(at("03:00:00")).readings[0].read_at == datetime(2026, 10, 25, 2, 0, tzinfo=UTC)

    def test_at_a_midnight_that_is_there_twice_are_of_the_first(self) -> None:
        body = document(register(readings='<Reading Value="5" ReadingTime="2026-10-25T00:00:00"/>'))
        (found,) = channels(body, zone=ZoneInfo("Atlantic/Azores"))
        assert isinstance(found, Channel)
        assert found.readings[0].read_at == datetime(2026, 10, 25, 0, 0, tzinfo=UTC)

    def test_at_the_moment_clocks_are_put_forward_are_of_it(self) -> None:
        def at(text: str) -> bytes:
            return document(register(readings=f'<Reading Value="5" ReadingTime="2026-03-29T{text}"/>'))

        assert one(at("02:00:00")).readings[0].read_at == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        assert "the time 2026-03-29T02:00:01 does not exist" in reason(at("02:00:01"))


class TestStatuses:
    def test_are_explained_by_a_table_that_comes_last(self) -> None:
        body = document(profile(), table="").replace(b"</Channels>", b"</Channels>" + TABLE.encode())

        assert one(body).sets[0].statuses == (("EST", "POWER"), ())

    def test_that_no_table_explains_keep_their_number(self) -> None:
        assert one(document(profile(), table="")).sets[0].statuses == (("#7",), ())

    def test_that_stand_inside_a_reading_are_read(self) -> None:
        codes = "<UnencodedStatus><StatusCodes><Code>TEST</Code></StatusCodes></UnencodedStatus>"
        inside = f"<ReadingStatus>{codes}</ReadingStatus>"
        body = document(profile(readings=f'<Reading Value="1">{inside}</Reading><Reading Value="2" StatusRef="8"/>'))

        assert one(body).sets[0].statuses == (("TEST",), ())


class TestSettingAside:
    @pytest.mark.parametrize(
        ("channel", "expected"),
        [
            pytest.param(profile(number=' NumberOfReadings="3"'), "NumberOfReadings is 3, but there are 2", id="count"),
            pytest.param(profile('IntervalLength="30"'), "the readings are of 1:00:00, but TimePeriod", id="period"),
            pytest.param(profile('IntervalLength="-1"'), "IntervalLength is missing", id="no interval"),
            pytest.param(profile('IntervalLength="x"'), "IntervalLength is 'x'", id="interval"),
            pytest.param(profile(period=""), "TimePeriod is missing", id="no period"),
            pytest.param(profile(readings=PAIR.replace("1.25", "NaN")), "Value is 'NaN', not a number", id="value"),
            pytest.param(profile(name=""), "ChannelID: one of", id="no name"),
            pytest.param(profile(name=":1"), "ChannelID: meter:channel is expected", id="no meter"),
            pytest.param(
                profile('IntervalLength="15" ReadingsInPulse="true" PulseMultiplier="-1"'),
                "PulseMultiplier is '-1'",
                id="pulses",
            ),
            pytest.param(profile('IntervalLength="15" IsRegister="yes"'), "IsRegister is 'yes'", id="flag"),
            pytest.param(
                profile(period='<TimePeriod StartTime="2026-03-29T02:30:00" EndTime="2026-03-29T03:00:00"/>'),
                "does not exist in its zone",
                id="hour left out",
            ),
            pytest.param(
                profile(period='<TimePeriod StartTime="2026-03-29T01:31:00" EndTime="2026-03-29T02:01:00"/>'),
                "does not exist in its zone",
                id="an end in the hour left out",
            ),
            pytest.param(
                profile(period='<TimePeriod StartTime="2026-03-29T02:00:00"/>'),
                "does not exist in its zone",
                id="a begin in the hour left out, without an end",
            ),
            pytest.param(
                profile(period='<TimePeriod StartTime="2026-03-29T01:45:00" EndTime="2026-03-29T02:00:00"/>'),
                "the readings are of 0:30:00, but TimePeriod",
                id="an end that is the hour left out, and does not fit",
            ),
            pytest.param(profile(period='<TimePeriod StartTime="noon"/>'), "'noon' is no time", id="time"),
            pytest.param(
                profile(period='<TimePeriod StartTime="0001-01-01T00:00:00"/>'),
                "out of range",
                id="before the calendar",
            ),
            pytest.param(profile('IntervalLength="999999999"', period=PERIOD), "the readings are of", id="length"),
            pytest.param(
                profile('IntervalLength="999999999"', period=PERIOD.replace("2026", "9998")),
                "out of range",
                id="behind it",
            ),
        ],
    )
    def test_takes_nothing_of_that_channel_and_all_of_the_others(self, channel: str, expected: str) -> None:
        first, second = read(document(channel, profile(name="5:2")))

        assert isinstance(first, SetAside)
        assert expected in first.reason
        assert isinstance(second, Channel)
        assert second.meter == "5"

    def test_names_the_line(self) -> None:
        (found,) = read(document("\n" * 5, profile(number=' NumberOfReadings="3"')))

        assert isinstance(found, SetAside)
        assert found.line == TABLE.count("\n") + 6

    def test_tells_of_a_document_that_breaks_off(self) -> None:
        body = document(profile(), profile(name="5:2"))
        whole, rest = read(body[: body.rindex(b"<Readings>")])

        assert isinstance(whole, Channel)
        assert isinstance(rest, SetAside)
        assert "the document breaks off" in rest.reason

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            pytest.param(b"<Other/>", "there is no MeterReadingDocument", id="another document"),
            pytest.param(b"", "no XML", id="empty"),
            pytest.param(b"12;13", "no XML", id="text"),
            pytest.param(
                b'<!DOCTYPE MeterReadingDocument [<!ENTITY a "b">]><MeterReadingDocument/>',
                "document type declaration",
                id="entities",
            ),
        ],
    )
    def test_refuses_what_is_no_document(self, body: bytes, expected: str) -> None:
        with pytest.raises(ValueError, match=expected):
            read(body)
