"""What the head end says, as events: read without a socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import (
    CommandResult,
    Decode,
    FieldAlarm,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    Heard,
    RawDelivery,
    ResultsReady,
    Unmapped,
    UnreadableLine,
)
from mdus.headends.token_poll import codec
from mdus.headends.token_poll.meter_id import MeterIds
from mdus.settings import load_settings
from tests.unit.headends.samples import AT, CORRELATION, SERIAL
from tests.unit.headends.token_poll.messages import METER, endpoint, message, result, row

NOON = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)
ENERGY = "1-0:1.8.0*255"
PROFILE = "1-0:1.29.0*255"


def decoder(**options: Any) -> Decode:
    return codec.decoder(load_settings({}), row(options=options))


def read(topic: str, body: bytes, **options: Any) -> list[FieldEvent]:
    return list(decoder(**options)(RawDelivery(topic=topic, correlation="", body=body)))


def register(channel: str = ENERGY, *, meter: str = METER, value: str = "12345.60", attributes: str = "") -> str:
    return (
        f'<Channel IsRegister="true"{attributes}><ChannelID EndPointUOMID="{meter}:{channel}"/><Readings>'
        f'<Reading Value="{value}" ReadingTime="2026-03-27T11:00:00Z"/></Readings></Channel>'
    )


def profile(channel: str = PROFILE, *, meter: str = METER, number: int = 2, attributes: str = "") -> str:
    return (
        f'<Channel IsRegister="false" IntervalLength="15"{attributes}>'
        f'<ChannelID IntervalChannelID="{meter}:{channel}"/><ContiguousIntervalSets>'
        f'<ContiguousIntervalSet NumberOfReadings="{number}">'
        '<TimePeriod StartTime="2026-03-27T11:00:00Z" EndTime="2026-03-27T11:30:00Z"/>'
        '<Readings><Reading Value="0.25" StatusRef="1"/><Reading Value="0.5"/></Readings>'
        "</ContiguousIntervalSet></ContiguousIntervalSets></Channel>"
    )


def document(*channels: str, code: str = "EST") -> str:
    table = (
        '<ReadingStatusRefTable><ReadingStatusRef Ref="1"><UnencodedStatus><StatusCodes>'
        f"<Code>{code}</Code></StatusCodes></UnencodedStatus></ReadingStatusRef></ReadingStatusRefTable>"
    )
    return f'<MeterReadingDocument xmlns="">{table}<Channels>{"".join(channels)}</Channels></MeterReadingDocument>'


def arrived(inside: str) -> bytes:
    return message("DataArrived", inside)


def exception(**changes: str) -> str:
    texts = {
        "ElectronicSerialNumber": METER,
        "ReceivedWhen": "2026-03-27T11:00:07Z",
        "ExceptionCategory": "PowerOutageOrRestoration",
        "Name": "Primary Power Down",
        "ID": "18001",
        "Timestamp": "2026-03-27T11:00:00Z",
        "SequenceNumber": "17",
    } | changes
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items() if text)
    return f"<MeterException>{inside}</MeterException>"


class TestStatus:
    def test_says_that_a_result_is_to_be_fetched(self) -> None:
        inside = "<RequestToken>7f1c</RequestToken><Operation>DisconnectMeter</Operation><Status>Complete</Status>"

        assert read("status", message("RequestStatusChanged", inside)) == [ResultsReady(token="DisconnectMeter/7f1c")]

    @pytest.mark.parametrize("status", ["Accepted", "InProgress"])
    def test_says_nothing_before_there_is_a_result(self, status: str) -> None:
        inside = f"<RequestToken>7f1c</RequestToken><Operation>DisconnectMeter</Operation><Status>{status}</Status>"

        assert read("status", message("RequestStatusChanged", inside)) == []

    @pytest.mark.parametrize(
        ("inside", "reason"),
        [
            pytest.param("<Operation>DisconnectMeter</Operation><Status>Complete</Status>", "RequestToken", id="token"),
            pytest.param("<RequestToken>7f1c</RequestToken><Status>Complete</Status>", "Operation", id="operation"),
            pytest.param(
                "<RequestToken>7f1c</RequestToken><Operation>DisconnectMeter</Operation>", "Status", id="status"
            ),
            pytest.param("<RequestToken>7f1c</RequestToken><Operation>Reboot</Operation>", "'Reboot'", id="another"),
        ],
    )
    def test_is_unreadable_when_something_is_missing(self, inside: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            read("status", message("RequestStatusChanged", inside))


class TestResults:
    def test_name_the_call_and_the_meter(self) -> None:
        body = result("PingByEndpoints", endpoint(CompletedWhen="2026-03-29T03:00:04+02:00"))

        assert read("results", body) == [
            CommandResult(
                command_key=None,
                correlation=CORRELATION,
                token="PingByEndpoints/7f1c",
                serial_id=SERIAL,
                succeeded=True,
                code=None,
                text=None,
                acted_at=AT,
            )
        ]

    def test_leave_out_meters_that_are_pending(self) -> None:
        body = result("PingByEndpoints", endpoint(outcome="Pending"), endpoint(METER + "5"))

        assert [each.serial_id for each in read("results", body) if isinstance(each, CommandResult)] == [SERIAL + "5"]

    @pytest.mark.parametrize(("outcome", "is_final"), [("Success", True), ("Partial", False)])
    def test_say_whether_more_follows(self, outcome: str, is_final: bool) -> None:
        (found,) = read("results", result("ContingencyReadByEndpoints", endpoint(outcome=outcome)))

        assert isinstance(found, CommandResult)
        assert (found.succeeded, found.is_final) == (True, is_final)

    @pytest.mark.parametrize(
        ("told", "code", "uncertain"),
        [
            ("SwitchDidNotMove", "RELAY_STUCK", False),
            ("LoadSideVoltagePresent", "LOAD_SIDE_VOLTAGE", False),
            ("EndpointDidNotRespond", "NO_RESPONSE", True),
            ("Gremlins", "Gremlins", True),
        ],
    )
    def test_tell_of_a_failure_whether_it_may_have_been_done(self, told: str, code: str, uncertain: bool) -> None:
        (found,) = read(
            "results", result("DisconnectMeter", endpoint(outcome="Failure", Code=told, Text="as scripted"))
        )

        assert isinstance(found, CommandResult)
        assert (found.succeeded, found.code, found.uncertain, found.text) == (False, code, uncertain, "as scripted")

    def test_translate_codes_as_the_options_say(self) -> None:
        body = result("DisconnectMeter", endpoint(outcome="Failure", Code="Gremlins"))

        (found,) = read("results", body, codes={"Gremlins": "BUSY"})

        assert isinstance(found, CommandResult)
        assert (found.code, found.uncertain) == ("BUSY", False)

    def test_of_a_switch_have_the_instant_of_the_operation(self) -> None:
        times = {"CompletedWhen": "2026-03-29T01:05:00Z", "SwitchedWhen": "2026-03-29T01:00:04Z"}
        (moved,) = read("results", result("DisconnectMeter", endpoint(SwitchState="Disconnected", **times)))
        (asked,) = read("results", result("ReadDisconnectState", endpoint(SwitchState="Disconnected", **times)))

        assert isinstance(moved, CommandResult)
        assert isinstance(asked, CommandResult)
        assert (moved.acted_at, moved.switch_state) == (AT, SwitchState.DISCONNECTED)
        assert (asked.acted_at, asked.switch_state) == (AT + timedelta(seconds=296), SwitchState.DISCONNECTED)

    def test_of_an_armed_meter_are_no_success(self) -> None:
        (found,) = read("results", result("ReconnectMeter", endpoint(SwitchState="Armed")))

        assert isinstance(found, CommandResult)
        assert (found.succeeded, found.code, found.switch_state) == (False, "ARMED", SwitchState.DISCONNECTED)
        assert "button" in (found.text or "")

    def test_of_an_armed_meter_that_was_asked_are_one(self) -> None:
        (found,) = read("results", result("ReadDisconnectState", endpoint(SwitchState="Armed")))

        assert isinstance(found, CommandResult)
        assert (found.succeeded, found.switch_state) == (True, SwitchState.DISCONNECTED)

    def test_carry_the_readings_of_their_meter(self) -> None:
        data = document(register(), register(meter=METER + "5"))
        body = result("ContingencyReadByEndpoints", endpoint(), endpoint(METER + "5"), data=data)

        first, second = read("results", body)

        assert isinstance(first, CommandResult)
        assert isinstance(second, CommandResult)
        (reading,) = first.readings
        assert (reading.serial_id, reading.reading_type, reading.measured_at) == (SERIAL, ENERGY, NOON)
        assert str(reading.value) == "12345.60"
        assert [each.serial_id for each in second.readings] == [SERIAL + "5"]

    def test_carry_the_intervals_of_their_meter(self) -> None:
        body = result("InterrogateByEndpoints", endpoint(), data=document(profile()))

        (found,) = read("results", body)

        assert isinstance(found, CommandResult)
        (block,) = found.intervals
        assert (block.reading_type, block.start_at, block.interval_minutes) == (PROFILE, NOON, 15)
        assert list(block.values) == [Decimal("0.25"), Decimal("0.5")]
        assert list(block.qualities) == ["2.8.0", None]

    def test_leave_values_of_other_meters_to_themselves(self) -> None:
        body = result("ContingencyReadByEndpoints", endpoint(), data=document(register(meter=METER + "5")))

        loose, found = read("results", body)

        assert isinstance(loose, FieldReading)
        assert isinstance(found, CommandResult)
        assert (loose.serial_id, found.readings) == (SERIAL + "5", ())

    def test_are_taken_around_a_meter_that_cannot_be_read(self) -> None:
        body = result("PingByEndpoints", endpoint("1.2.3"), endpoint(METER + "5", "Maybe"), endpoint())

        first, second, third = read("results", body)

        assert isinstance(first, UnreadableLine)
        assert "is not of the form" in first.reason
        assert isinstance(second, UnreadableLine)
        assert "Outcome is 'Maybe'" in second.reason
        assert isinstance(third, CommandResult)

    @pytest.mark.parametrize(
        "first",
        [
            pytest.param(endpoint(SwitchState="Disconnected"), id="alike"),
            pytest.param(endpoint(outcome="Failure", Code="SwitchDidNotMove"), id="another outcome"),
            pytest.param(endpoint(outcome="Pending"), id="pending"),
        ],
    )
    def test_of_a_meter_that_stands_there_twice_are_not_believed(self, first: str) -> None:
        body = result("DisconnectMeter", first, endpoint(SwitchState="Disconnected"), endpoint(METER + "5"))

        once, again, other = read("results", body)

        assert isinstance(once, UnreadableLine)
        assert isinstance(again, UnreadableLine)
        assert f"{METER} stands there twice" in once.reason
        assert isinstance(other, CommandResult)
        assert other.serial_id == SERIAL + "5"

    def test_of_a_meter_that_stands_there_twice_leave_their_values_out(self) -> None:
        data = document(register(), register(value="1.00"), profile(), register(meter=METER + "5"))
        body = result("ContingencyReadByEndpoints", endpoint(), endpoint(), endpoint(METER + "5"), data=data)

        once, again, other = read("results", body)

        assert isinstance(once, UnreadableLine)
        assert isinstance(again, UnreadableLine)
        assert isinstance(other, CommandResult)
        assert [each.serial_id for each in other.readings] == [SERIAL + "5"]

    def test_of_nothing_we_ask_for_are_unreadable(self) -> None:
        with pytest.raises(ValueError, match="found GetRebootResultResponse"):
            read("results", message("GetRebootResultResponse", ""))


class TestData:
    def test_that_was_asked_for_is_announced(self) -> None:
        inside = "<RequestToken>7f1c</RequestToken><Operation>InterrogateByEndpoints</Operation>"

        assert read("data", arrived(inside)) == [ResultsReady(token="InterrogateByEndpoints/7f1c")]

    def test_that_was_asked_for_comes_with_the_outcome_of_its_meters(self) -> None:
        inside = "<RequestToken>7f1c</RequestToken><Operation>InterrogateByEndpoints</Operation>"
        inside += f"<Endpoints>{endpoint()}</Endpoints><Data>{document(profile())}</Data>"

        (found,) = read("data", arrived(inside))

        assert isinstance(found, CommandResult)
        assert (found.token, len(found.intervals)) == ("InterrogateByEndpoints/7f1c", 1)

    def test_comes_by_itself(self) -> None:
        first, second = read("data", arrived(f"<Data>{document(register(), profile())}</Data>"))

        assert isinstance(first, FieldReading)
        assert isinstance(second, FieldIntervals)

    def test_in_pulses_is_multiplied(self) -> None:
        pulses = ' ReadingsInPulse="true" PulseMultiplier="0.5"'
        body = arrived(f"<Data>{document(register(attributes=pulses, value='3'), profile(attributes=pulses))}</Data>")

        first, second = read("data", body)

        assert isinstance(first, FieldReading)
        assert isinstance(second, FieldIntervals)
        assert (first.value, list(second.values)) == (Decimal("1.5"), [Decimal("0.125"), Decimal("0.25")])

    def test_of_a_channel_without_a_row_is_kept_as_it_came(self) -> None:
        body = arrived(f"<Data>{document(register('17', value='5'), profile('18'))}</Data>")

        first, second = read("data", body)

        assert isinstance(first, Unmapped)
        assert isinstance(second, Unmapped)
        assert (first.source, first.serial_id, first.at, first.value) == ("channel", SERIAL, NOON, "5")
        assert first.code.endswith("17")
        assert (second.value, second.text) == ("0.25,0.5", "2 values of 15 minutes")

    def test_with_a_status_without_a_row_is_taken_and_the_status_kept(self) -> None:
        body = arrived(f"<Data>{document(profile(), code='WEIRD')}</Data>")

        values, status = read("data", body)
        known, *more = read("data", body, qualities={"WEIRD": "2.5.258"})

        assert isinstance(values, FieldIntervals)
        assert status == Unmapped(serial_id=SERIAL, source="quality", code="WEIRD", text=PROFILE)
        assert isinstance(known, FieldIntervals)
        assert (list(known.qualities), more) == (["2.5.258", None], [])

    def test_of_a_channel_that_does_not_fit_is_set_aside_alone(self) -> None:
        body = arrived(f"<Data>{document(profile(number=3), register(meter='1.2.3'), register())}</Data>")

        first, second, third = read("data", body)

        assert isinstance(first, UnreadableLine)
        assert "NumberOfReadings is 3, but there are 2" in first.reason
        assert isinstance(second, UnreadableLine)
        assert "is not of the form" in second.reason
        assert isinstance(third, FieldReading)


class TestExceptions:
    def test_are_events_of_their_meter(self) -> None:
        heard, alarm = read("exceptions", message("MeterExceptionsArrived", exception()))

        assert heard == Heard(serial_id=SERIAL, at=NOON + timedelta(seconds=7))
        assert alarm == FieldAlarm(
            serial_id=SERIAL,
            event_type="3.26.0.85",
            at=NOON,
            source_id="17",
            text="Primary Power Down",
            properties=(("category", "PowerOutageOrRestoration"),),
        )

    def test_of_power_that_is_back_are_events(self) -> None:
        _, alarm = read("exceptions", message("MeterExceptionsArrived", exception(ID="18002", Name="Primary Power Up")))

        assert isinstance(alarm, FieldAlarm)
        assert alarm.event_type == "3.26.0.216"

    def test_are_events_by_their_name(self) -> None:
        _, alarm = read("exceptions", message("MeterExceptionsArrived", exception(ID="", Name="primary power up")))

        assert isinstance(alarm, FieldAlarm)
        assert alarm.event_type == "3.26.0.216"

    def test_that_are_called_by_a_code_are_that(self) -> None:
        _, alarm = read("exceptions", message("MeterExceptionsArrived", exception(ID="4711", Name="3.12.29.39")))

        assert isinstance(alarm, FieldAlarm)
        assert alarm.event_type == "3.12.29.39"

    def test_have_their_arguments_as_properties(self) -> None:
        inside = exception().replace(
            "</MeterException>", '<Arguments><Argument Name="phase">L1</Argument></Arguments></MeterException>'
        )
        _, alarm = read("exceptions", message("MeterExceptionsArrived", inside))

        assert isinstance(alarm, FieldAlarm)
        assert alarm.properties == (("category", "PowerOutageOrRestoration"), ("phase", "L1"))

    def test_without_a_row_are_kept_as_they_came(self) -> None:
        _, kept = read("exceptions", message("MeterExceptionsArrived", exception(ID="4711", Name="Odd")))

        assert isinstance(kept, Unmapped)
        assert (kept.source, kept.serial_id, kept.at, kept.text) == ("event", SERIAL, NOON, "Odd")
        assert "4711" in kept.code

    def test_that_only_say_that_a_meter_is_there_are_no_event(self) -> None:
        body = message("MeterExceptionsArrived", exception(Name="Endpoint Registered", ID="1", ReceivedWhen=""))

        assert read("exceptions", body) == [Heard(serial_id=SERIAL, at=NOON)]

    def test_are_taken_around_one_that_cannot_be_read(self) -> None:
        body = message("MeterExceptionsArrived", exception(Timestamp="2026-03-27T11:00:00") + exception())

        first, *others = read("exceptions", body)

        assert isinstance(first, UnreadableLine)
        assert "an instant without zone" in first.reason
        assert len(others) == 2


class TestDecode:
    @pytest.mark.parametrize("topic", ["status", "results", "data", "exceptions"])
    def test_refuses_what_is_no_message_of_the_topic(self, topic: str) -> None:
        with pytest.raises(ValueError, match="found Other"):
            read(topic, message("Other", ""))

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"", "no XML", id="empty"),
            pytest.param(b"<a>", "no XML", id="cut off"),
            pytest.param(b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', "document type", id="entities"),
            pytest.param(message("A", "").replace(b'<A xmlns="urn:any"></A>', b""), "Body is empty", id="empty body"),
        ],
    )
    def test_refuses_what_is_no_message(self, body: bytes, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            read("data", body)

    def test_refuses_another_topic(self) -> None:
        with pytest.raises(ValueError, match="'intervals'"):
            read("intervals", message("DataArrived", ""))


class TestALookForVoltage:
    @pytest.mark.parametrize(("operation", "results"), [("ReconnectMeter", 1), ("DetectLoadSideVoltageByMeter", 0)])
    def test_is_no_result_of_a_command_whatever_call_it_names(self, operation: str, results: int) -> None:
        found = endpoint(LoadSideVoltage="Absent")
        head = f"<RequestToken>7f1c</RequestToken><CallerReference>{CORRELATION}</CallerReference>"
        pushed = arrived(f"{head}<Operation>{operation}</Operation><Endpoints>{found}</Endpoints>")

        for events in (read("data", pushed), read("results", result(operation, found))):
            assert [(type(each), each.serial_id) for each in events] == [(CommandResult, SERIAL)] * results

    @pytest.mark.parametrize(
        ("operation", "told"),
        [
            ("ReconnectMeter", [ResultsReady(token="ReconnectMeter/7f1c")]),
            ("DetectLoadSideVoltageByMeter", []),
        ],
    )
    def test_has_no_result_that_is_fetched_from_here(self, operation: str, told: list[FieldEvent]) -> None:
        head = f"<RequestToken>7f1c</RequestToken><Operation>{operation}</Operation>"

        assert read("status", message("RequestStatusChanged", f"{head}<Status>Complete</Status>")) == told
        assert read("data", arrived(head)) == told

    def test_keeps_the_values_that_come_with_it(self) -> None:
        head = "<RequestToken>7f1c</RequestToken><Operation>DetectLoadSideVoltageByMeter</Operation>"
        body = arrived(f"{head}<Endpoints>{endpoint()}</Endpoints><Data>{document(register())}</Data>")

        assert [type(each) for each in read("data", body)] == [FieldReading]


class TestVoltages:
    def test_tell_of_the_meters_that_answered(self) -> None:
        body = result(
            "DetectLoadSideVoltageByMeter",
            endpoint(METER + "1", LoadSideVoltage="Present"),
            endpoint(METER + "2", LoadSideVoltage="Absent"),
            endpoint(METER + "3", outcome="Failure", Code="EndpointDidNotRespond"),
            endpoint(METER + "4", outcome="Pending"),
        )

        found = dict(codec.voltages(body, MeterIds(template="2.16.840.1.114416.0.{serial}")))

        assert found == {SERIAL + "1": True, SERIAL + "2": False, SERIAL + "3": None}

    def test_are_told_of_the_others_where_an_id_cannot_be_read(self) -> None:
        nameless = "<Endpoint><Outcome>Success</Outcome><LoadSideVoltage>Absent</LoadSideVoltage></Endpoint>"
        foreign = endpoint("9.9.9", LoadSideVoltage="Absent")
        body = result("DetectLoadSideVoltageByMeter", nameless, foreign, endpoint(LoadSideVoltage="Absent"))

        assert list(codec.voltages(body, MeterIds(template="2.16.840.1.114416.0.{serial}"))) == [(SERIAL, False)]

    def test_are_not_known_of_a_meter_that_stands_there_twice(self) -> None:
        told = (endpoint(LoadSideVoltage="Present"), endpoint(LoadSideVoltage="Absent"))
        body = result("DetectLoadSideVoltageByMeter", *told)

        assert list(codec.voltages(body, MeterIds(template="2.16.840.1.114416.0.{serial}"))) == [(SERIAL, None)] * 2
