"""What head ends of MultiSpeak tell, as field events."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import (
    CommandResult,
    FieldAlarm,
    FieldReading,
    Heard,
    Unmapped,
    UnreadableLine,
)
from tests.unit.headends.multispeak.messages import OTHER, decoded, envelope
from tests.unit.headends.samples import CORRELATION, SERIAL

READ_AT = datetime(2026, 3, 29, 1, 0, 4, tzinfo=UTC)


def meter_read(serial: str = SERIAL, inside: str = "", attributes: str = "") -> str:
    return (
        f'<meterRead objectID="{serial}" verb="New"{attributes}><meterNo>{serial}</meterNo>'
        f"<readingDate>2026-03-29T01:00:04Z</readingDate>{inside}</meterRead>"
    )


def value(text: str, field: str = "posKWh", unit: str = "kWh", more: str = "") -> str:
    return (
        f"<readingValues><readingValue><units>{unit}</units><value>{text}</value>"
        f"<fieldName>{field}</fieldName>{more}</readingValue></readingValues>"
    )


def reading_changed(*reads: str, transaction: str = CORRELATION, version: str = "3.0") -> bytes:
    return envelope(
        f"<ReadingChangedNotification><changedMeterReads>{''.join(reads)}</changedMeterReads>"
        f"<transactionID>{transaction}</transactionID></ReadingChangedNotification>",
        version=version,
    )


def cd_changed(state: str, *, purpose: str = "", error: str = "", header: str = "") -> bytes:
    return envelope(
        f"<CDStateChangedNotification><meterNo>{SERIAL}</meterNo><stateChange>{state}</stateChange>"
        f"<transactionID>{CORRELATION}{purpose}</transactionID><errorString>{error}</errorString>"
        "</CDStateChangedNotification>",
        header=header,
    )


def outage(kind: str, *, transaction: str = "", attributes: str = ' objectID="o-1"') -> bytes:
    return envelope(
        f"<ODEventNotification><ODEvents><outageDetectionEvent{attributes}>"
        f"<eventTime>2026-03-29T01:00:04Z</eventTime><outageEventType>{kind}</outageEventType>"
        f"<outageDetectDeviceID>{SERIAL}</outageDetectDeviceID><outageDetectDeviceType>Meter</outageDetectDeviceType>"
        "</outageDetectionEvent></ODEvents>"
        f"<transactionID>{transaction}</transactionID></ODEventNotification>"
    )


def result(events: list[object]) -> CommandResult:
    (found,) = [event for event in events if isinstance(event, CommandResult)]
    return found


class TestReadings:
    def test_answer_the_call_named_by_our_transaction(self) -> None:
        (told,) = decoded(reading_changed(meter_read(inside=value("12345.678"))))

        assert isinstance(told, CommandResult)
        assert (told.command_key, told.correlation, told.serial_id) == (None, CORRELATION, SERIAL)
        assert told.succeeded
        assert told.acted_at == READ_AT
        assert told.readings == (
            FieldReading(
                serial_id=SERIAL,
                reading_type="1-0:1.8.0*255",
                measured_at=READ_AT,
                value=Decimal("12345.678"),
                unit="kWh",
            ),
        )

    @pytest.mark.parametrize(
        ("inside", "expected"),
        [
            pytest.param("<posKWh>12345</posKWh>" + value("12345.678"), "12345.678", id="both: the one with decimals"),
            pytest.param(value("12345.678") + "<posKWh>12345</posKWh>", "12345.678", id="both, in the other order"),
            pytest.param("<posKWh>12345</posKWh>", "12345", id="the whole number alone"),
        ],
    )
    def test_prefer_the_value_with_decimals(self, inside: str, expected: str) -> None:
        told = result(decoded(reading_changed(meter_read(inside=inside))))
        assert [reading.value for reading in told.readings] == [Decimal(expected)]

    def test_are_read_in_any_order_of_children(self) -> None:
        body = envelope(
            f"<ReadingChangedNotification><transactionID>{CORRELATION}</transactionID><changedMeterReads>"
            "<meterRead><readingValues><readingValue><fieldName>posKWh</fieldName>"
            "<dateTime>2026-03-29T01:00:04Z</dateTime><value>1.5</value><units>kWh</units></readingValue>"
            f"</readingValues><meterNo>{SERIAL}</meterNo></meterRead></changedMeterReads></ReadingChangedNotification>"
        )
        told = result(decoded(body))
        assert [(reading.value, reading.measured_at) for reading in told.readings] == [(Decimal("1.5"), READ_AT)]

    def test_of_4_1_name_the_meter_in_an_attribute_or_a_text(self) -> None:
        def reading(meter: str) -> str:
            inside = value("7.25", more="<timeStamp>2026-03-29T01:00:04Z</timeStamp>")
            return f"<meterReading>{meter}{inside}</meterReading>"

        body = reading_changed(
            reading(f'<meterID meterNo="{SERIAL}">internal-7</meterID>'),
            reading(f"<meterID>{OTHER}</meterID>"),
            version="4.1",
        )
        told = [event for event in decoded(body, version="4.1") if isinstance(event, CommandResult)]
        assert [each.serial_id for each in told] == [SERIAL, OTHER]
        assert [each.readings[0].value for each in told] == [Decimal("7.25")] * 2

    def test_of_one_meter_in_several_parts_are_one_result(self) -> None:
        body = reading_changed(meter_read(inside=value("1.5")), meter_read(inside=value("2.5", field="negKWh")))
        told = result(decoded(body))
        assert [reading.reading_type for reading in told.readings] == ["1-0:1.8.0*255", "1-0:2.8.0*255"]

    @pytest.mark.parametrize(
        ("error", "code", "uncertain"),
        [
            pytest.param("Meter did not respond", "NO_RESPONSE", True, id="a text in the table"),
            pytest.param("flux capacitor", "REJECTED_UNKNOWN", True, id="a text in no table"),
            pytest.param("Unknown meter", "UNKNOWN_METER", False, id="certainly nothing done"),
        ],
    )
    def test_fail_by_meter(self, error: str, code: str, uncertain: bool) -> None:
        body = reading_changed(meter_read(OTHER, value("1")), meter_read(attributes=f' errorString="{error}"'))
        failed = next(event for event in decoded(body) if isinstance(event, CommandResult) and not event.succeeded)
        assert (failed.serial_id, failed.code, failed.text, failed.uncertain) == (SERIAL, code, error, uncertain)

    def test_that_name_nothing_fail(self) -> None:
        told = result(decoded(reading_changed(meter_read())))
        assert (told.succeeded, told.code) == (False, "NO_DATA")

    @pytest.mark.parametrize(
        "transaction", [pytest.param("", id="empty"), pytest.param("tx-4711", id="of somebody else")]
    )
    def test_that_nobody_asked_for_are_readings(self, transaction: str) -> None:
        (told,) = decoded(reading_changed(meter_read(inside=value("1.5")), transaction=transaction))
        assert isinstance(told, FieldReading)
        assert told.value == Decimal("1.5")

    def test_of_an_unknown_channel_are_told_as_such(self) -> None:
        events = decoded(reading_changed(meter_read(inside=value("3", field="flux", unit="Wb"))))
        (unmapped,) = [event for event in events if isinstance(event, Unmapped)]
        assert (unmapped.source, unmapped.value, unmapped.unit) == ("channel", "3", "Wb")
        assert "flux" in unmapped.code
        assert result(events).succeeded

    def test_under_an_obis_code_need_no_table(self) -> None:
        told = result(decoded(reading_changed(meter_read(inside=value("1", field="1.0.32.7.0.255", unit="V")))))
        assert told.readings[0].reading_type == "1-0:32.7.0*255"

    @pytest.mark.parametrize(
        ("service", "expected"),
        [pytest.param("Gas", "7-0:3.0.0*255", id="gas"), pytest.param("Water", "8-0:1.0.0*255", id="water")],
    )
    def test_of_gas_and_water_are_told_apart_by_service(self, service: str, expected: str) -> None:
        inside = value("1.5", field="volume", unit="cubic meter")
        told = result(decoded(reading_changed(meter_read(inside=inside, attributes=f' serviceType="{service}"'))))
        assert [(each.reading_type, each.unit) for each in told.readings] == [(expected, "m3")]

    def test_of_a_tariff_are_of_its_register(self) -> None:
        inside = "<TOUReadings><TOUReading><ratePeriod>2</ratePeriod><kWh>3.5</kWh></TOUReading></TOUReadings>"
        told = result(decoded(reading_changed(meter_read(inside=inside))))
        assert [(each.reading_type, each.value) for each in told.readings] == [("1-0:1.8.2*255", Decimal("3.5"))]

    def test_that_cannot_be_read_cost_their_meter_alone(self) -> None:
        body = reading_changed(meter_read(inside=value("lots")), meter_read(OTHER, value("1")))
        events = decoded(body)
        (line,) = [event for event in events if isinstance(event, UnreadableLine)]
        assert "'lots', not a number" in line.reason
        assert result(events).serial_id == OTHER

    @pytest.mark.parametrize(
        ("shown", "options"),
        [
            pytest.param("03:00:04", {}, id="of the row"),
            pytest.param("02:00:04", {"zone_of_local_times": "Etc/GMT-1"}, id="standard time the whole year"),
        ],
    )
    def test_without_a_zone_are_local(self, shown: str, options: dict[str, str]) -> None:
        stamped = meter_read(inside=value("1")).replace("01:00:04Z", shown)
        told = result(decoded(reading_changed(stamped), **options))
        assert told.readings[0].measured_at == READ_AT


class TestBreakers:
    @pytest.mark.parametrize(
        ("state", "purpose", "succeeded", "code", "position"),
        [
            pytest.param("Open", "/disconnect", True, None, SwitchState.DISCONNECTED, id="off: open"),
            pytest.param("Armed", "/disconnect", True, None, SwitchState.DISCONNECTED, id="off: armed is open"),
            pytest.param("Closed", "/disconnect", False, "RELAY_STUCK", SwitchState.CONNECTED, id="off: closed"),
            pytest.param("Closed", "/connect", True, None, SwitchState.CONNECTED, id="on: closed"),
            pytest.param("Armed", "/connect", False, "ARMED", SwitchState.DISCONNECTED, id="on: armed"),
            pytest.param("Opened", "/connect", False, "RELAY_STUCK", SwitchState.DISCONNECTED, id="on: open"),
            pytest.param("Armed", "/state", True, None, SwitchState.DISCONNECTED, id="state: armed"),
            pytest.param("Closed", "/state", True, None, SwitchState.CONNECTED, id="state: closed"),
            pytest.param("InitiatePowerLimitation", "/limit", True, None, SwitchState.CONNECTED, id="limit"),
            pytest.param("Disconnect", "/disconnect", False, "STATE_UNKNOWN", None, id="off: the order echoed"),
            pytest.param("Unknown", "/state", False, "STATE_UNKNOWN", None, id="state: unknown"),
            pytest.param("", "", False, "STATE_UNKNOWN", None, id="nothing said"),
        ],
    )
    def test_are_understood_by_what_was_asked(
        self, state: str, purpose: str, succeeded: bool, code: str | None, position: SwitchState | None
    ) -> None:
        told = result(decoded(cd_changed(state, purpose=purpose)))
        assert (told.correlation, told.succeeded, told.code, told.switch_state) == (
            CORRELATION,
            succeeded,
            code,
            position,
        )
        assert told.uncertain is (code == "STATE_UNKNOWN")

    def test_that_failed_are_uncertain_unless_nothing_was_done(self) -> None:
        silent = result(decoded(cd_changed("Unknown", purpose="/disconnect", error="no response from meter")))
        stuck = result(decoded(cd_changed("Closed", purpose="/disconnect", error="relay stuck")))
        assert (silent.code, silent.uncertain, silent.switch_state) == ("NO_RESPONSE", True, None)
        assert (stuck.code, stuck.uncertain, stuck.switch_state) == ("RELAY_STUCK", False, SwitchState.CONNECTED)

    @pytest.mark.parametrize(
        ("purpose", "state"),
        [
            pytest.param("/disconnect", "Open", id="disconnected"),
            pytest.param("/connect", "Closed", id="connected"),
        ],
    )
    @pytest.mark.parametrize("error", ["relay stuck", "meter is busy"])
    def test_that_failed_and_stand_as_ordered_leave_it_open(self, purpose: str, state: str, error: str) -> None:
        told = result(decoded(cd_changed(state, purpose=purpose, error=error)))
        assert (told.succeeded, told.uncertain, told.switch_state) == (False, True, None)

    @pytest.mark.parametrize(
        ("error", "code", "uncertain"),
        [
            pytest.param("Meter is busy", "BUSY", False, id="busy"),
            pytest.param("Another request is in progress", "BUSY", False, id="another in progress"),
            pytest.param("Previous command still pending", "BUSY", False, id="another pending"),
            pytest.param("Operation in progress", "REJECTED_UNKNOWN", True, id="this one in progress, perhaps"),
            pytest.param("Command pending", "REJECTED_UNKNOWN", True, id="this one pending, perhaps"),
            pytest.param("Too many retries, no response from meter", "NO_RESPONSE", True, id="not answered"),
            pytest.param("Too many requests, timed out", "NO_RESPONSE", True, id="too many, and not answered"),
            pytest.param("Too many retries", "REJECTED_UNKNOWN", True, id="too many retries"),
            pytest.param("Too many requests", "NOT_NOW", False, id="too many requests"),
            pytest.param("Too many pending transactions", "NOT_NOW", False, id="too much pending"),
        ],
    )
    def test_that_may_still_move_are_uncertain(self, error: str, code: str, *, uncertain: bool) -> None:
        told = result(decoded(cd_changed("Unknown", purpose="/connect", error=error)))
        assert (told.code, told.uncertain) == (code, uncertain)

    @pytest.mark.parametrize(
        ("error", "uncertain"),
        [
            pytest.param("Too many retries, no response from meter", True, id="too many retries"),
            pytest.param("Too many requests", False, id="too many requests"),
        ],
    )
    def test_of_a_limit_may_be_in_force_after_too_many_retries(self, error: str, *, uncertain: bool) -> None:
        told = result(decoded(cd_changed("Unknown", purpose="/limit", error=error)))
        assert (told.succeeded, told.uncertain) == (False, uncertain)

    @pytest.mark.parametrize("purpose", ["/disconnect", "/state"])
    def test_are_not_known_by_a_meter_that_did_not_answer(self, purpose: str) -> None:
        told = result(decoded(cd_changed("Closed", purpose=purpose, error="no response from meter")))
        assert (told.code, told.switch_state) == ("NO_RESPONSE", None)

    def test_moved_when_the_message_was_sent_where_it_does_not_say(self) -> None:
        told = result(decoded(cd_changed("Open", header='TimeStamp="2026-03-29T01:00:04Z"')))
        assert told.acted_at == READ_AT

    @pytest.mark.parametrize("container", ["", "stateChanges"])
    def test_of_4_1_come_alone_or_many_at_once(self, container: str) -> None:
        tag, root = ("stateChange", "CDStateChanged") if not container else ("CDStateChange", "CDStatesChanged")
        one = (
            f'<{tag} objectID="x"><stateChange>Opened</stateChange><meterID meterNo="{SERIAL}"/>'
            f"<timestamp>2026-03-29T01:00:04Z</timestamp></{tag}>"
        )
        inside = f"<{container}>{one}{one.replace(SERIAL, OTHER)}</{container}>" if container else one
        body = envelope(
            f"<{root}Notification>{inside}<transactionID>{CORRELATION}/disconnect</transactionID></{root}Notification>",
            version="4.1",
        )
        told = decoded(body, version="4.1")
        assert [each.serial_id for each in told if isinstance(each, CommandResult)] == [SERIAL, OTHER][: len(told)]
        assert len(told) == (2 if container else 1)
        assert all(isinstance(each, CommandResult) and each.succeeded and each.acted_at == READ_AT for each in told)

    def test_that_moved_by_themselves_are_events(self) -> None:
        body = cd_changed("Open", header='TimeStamp="2026-03-29T01:00:04Z"').replace(CORRELATION.encode(), b"")
        (told,) = decoded(body)
        assert isinstance(told, FieldAlarm)
        assert (told.event_type, told.at, told.serial_id) == ("3.31.0.68", READ_AT, SERIAL)

    def test_that_failed_by_themselves_are_not_told_to_have_moved(self) -> None:
        body = cd_changed("Open", error="Relay stuck", header='TimeStamp="2026-03-29T01:00:04Z"')
        (told,) = decoded(body.replace(CORRELATION.encode(), b""))
        assert isinstance(told, Unmapped)
        assert (told.source, told.code, told.at) == ("event", "state_change: Relay stuck", READ_AT)


class TestOutages:
    @pytest.mark.parametrize(
        ("kind", "succeeded", "code"),
        [
            pytest.param("PowerOn", True, None, id="has power"),
            pytest.param("Restoration", True, None, id="has power again"),
            pytest.param("NoResponse", False, "NO_RESPONSE", id="does not answer"),
            pytest.param("Outage", False, "NO_POWER", id="has no power"),
            pytest.param("Inferred", False, "NO_POWER", id="is held to have none"),
            pytest.param("Unknown", False, "STATE_UNKNOWN", id="is not known"),
        ],
    )
    def test_answer_a_ping(self, kind: str, succeeded: bool, code: str | None) -> None:
        (told,) = decoded(outage(kind, transaction=CORRELATION))
        assert isinstance(told, CommandResult)
        assert (told.serial_id, told.succeeded, told.code) == (SERIAL, succeeded, code)

    @pytest.mark.parametrize(
        ("kind", "event_type"),
        [
            pytest.param("Outage", "3.26.0.85", id="outage"),
            pytest.param("PowerOff", "3.26.0.85", id="power off"),
            pytest.param("Restoration", "3.26.0.216", id="restoration"),
            pytest.param("PowerOn", "3.26.0.216", id="power on"),
        ],
    )
    def test_told_by_themselves_are_events(self, kind: str, event_type: str) -> None:
        (told,) = decoded(outage(kind))
        assert told == FieldAlarm(serial_id=SERIAL, event_type=event_type, at=READ_AT, source_id=None, text=None)

    @pytest.mark.parametrize("kind", ["NoResponse", "Inferred"])
    def test_that_no_meter_told_are_none(self, kind: str) -> None:
        assert decoded(outage(kind)) == []

    def test_of_another_type_are_kept_as_they_came(self) -> None:
        (told,) = decoded(outage("Instantaneous"))
        assert isinstance(told, Unmapped)
        assert (told.source, told.code) == ("event", "outage: Instantaneous")

    def test_name_the_meter_by_their_place_first(self) -> None:
        body = outage("Outage").replace(
            b"</outageDetectionEvent>",
            f"<outageLocation><meterNo>{OTHER}</meterNo></outageLocation></outageDetectionEvent>".encode(),
        )
        (told,) = decoded(body)
        assert isinstance(told, FieldAlarm)
        assert told.serial_id == OTHER

    def test_told_twice_in_different_words_are_one(self) -> None:
        log = envelope(
            f"<HistoryLogChangedNotification><historyLog><meterID>{SERIAL}</meterID><eventList>"
            "<event sequenceNumber='4'><dateTime>2026-03-29T01:00:04Z</dateTime>"
            "<eventCode>Primary power down</eventCode></event></eventList></historyLog>"
            "</HistoryLogChangedNotification>"
        )
        assert decoded(outage("Outage")) == decoded(log)


class TestEvents:
    def test_of_3_0_are_english(self) -> None:
        body = envelope(
            "<HistoryLogChangedNotification><changedHistoryLogs>"
            f"<historyLog><meterID>{SERIAL}</meterID><eventList><event sequenceNumber='17'>"
            "<dateTime>2026-03-29T01:00:04Z</dateTime><eventCode>Tamper attempt Detected</eventCode>"
            "<argument>lid</argument></event><event><eventCode>Chewed by dog</eventCode>"
            "<dateTime>2026-03-29T01:00:04Z</dateTime></event></eventList></historyLog>"
            "</changedHistoryLogs></HistoryLogChangedNotification>"
        )
        known, unknown = decoded(body)
        assert known == FieldAlarm(
            serial_id=SERIAL,
            event_type="3.12.0.257",
            at=READ_AT,
            source_id=None,
            text="lid",
        )
        assert isinstance(unknown, Unmapped)
        assert unknown.code == "history_log: Chewed by dog"

    def test_of_3_0_that_say_only_that_it_was_read_are_signs_of_life(self) -> None:
        body = envelope(
            f"<HistoryLogChangedNotification><historyLog><meterID>{SERIAL}</meterID><eventList><event>"
            "<dateTime>2026-03-29T01:00:04Z</dateTime><eventCode>Meter accessed for read</eventCode>"
            "</event></eventList></historyLog></HistoryLogChangedNotification>"
        )
        assert decoded(body) == [Heard(serial_id=SERIAL, at=READ_AT)]

    @pytest.mark.parametrize(
        ("event", "edition", "expected"),
        [
            pytest.param('codeString="3.26.9.185"', 1, "3.26.0.85", id="power failed in edition 1"),
            pytest.param('codeString="3.26.9.216"', 1, "3.26.0.216", id="power restored in edition 1"),
            pytest.param('codeString="3.12.29.39"', 1, None, id="no row for edition 1"),
            pytest.param('codeString="3.12.29.39"', 2, "3.12.29.39", id="edition 2 as it is"),
            pytest.param('type="3" domain="12" domainPart="29" index="39"', 2, "3.12.29.39", id="in parts"),
            pytest.param('value="7"', 2, None, id="no code"),
        ],
    )
    def test_of_4_1_are_codes_of_an_edition(self, event: str, edition: int, expected: str | None) -> None:
        body = envelope(
            "<MeterEventNotification><events><eventInstances><eventInstance objectID='e-9'>"
            f'<meterID meterNo="{SERIAL}"/><meterEvent {event}>it says</meterEvent>'
            "<timeStamp>2026-03-29T01:00:04Z</timeStamp></eventInstance></eventInstances></events>"
            "</MeterEventNotification>",
            version="4.1",
        )
        (told,) = decoded(body, version="4.1", event_edition=edition)
        if expected is None:
            assert isinstance(told, Unmapped)
            assert told.source == "event"
        else:
            assert isinstance(told, FieldAlarm)
            assert (told.event_type, told.at, told.source_id, told.text) == (expected, READ_AT, None, "it says")


class TestFormattedBlocks:
    @pytest.mark.parametrize("first", [pytest.param(0, id="counted from 0"), pytest.param(1, id="counted from 1")])
    def test_are_read_by_positions_not_by_order(self, first: int) -> None:
        def item(name: str, position: int, unit: str = "") -> str:
            return (
                f"<syntaxItem><fieldName>{name}</fieldName><position>{position + first}</position>"
                f"<uom>{unit}</uom></syntaxItem>"
            )

        syntax = item("posKWh", 2, "kWh") + item("meterNo", 0) + item("readingDate", 1)
        body = envelope(
            "<FormattedBlockNotification><changedMeterReads><separator>,</separator>"
            f"<valSyntax>{syntax}</valSyntax><valueList><val>{SERIAL},2026-03-29T01:00:04Z,17.5</val>"
            f"<val>{OTHER},2026-03-29T01:00:04Z,</val></valueList></changedMeterReads>"
            f"<transactionID>{CORRELATION}</transactionID></FormattedBlockNotification>"
        )
        told = [event for event in decoded(body) if isinstance(event, CommandResult)]
        assert [(each.serial_id, each.succeeded) for each in told] == [(SERIAL, True), (OTHER, False)]
        assert told[0].readings[0].value == Decimal("17.5")

    def test_without_positions_cannot_be_read(self) -> None:
        body = envelope(
            "<FormattedBlockNotification><changedMeterReads><valSyntax><syntaxItem><fieldName>meterNo</fieldName>"
            "</syntaxItem></valSyntax><valueList><val>1</val></valueList></changedMeterReads>"
            "</FormattedBlockNotification>"
        )
        (told,) = decoded(body)
        assert isinstance(told, UnreadableLine)


class TestBodies:
    @pytest.mark.parametrize("name", ["PingURL", "GetMethods"])
    def test_that_tell_nothing_are_fine(self, name: str) -> None:
        assert decoded(envelope(f"<{name}/>")) == []

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"<html><p>Sorry", "not well-formed", id="no xml"),
            pytest.param(b"<html/>", "no SOAP envelope", id="no envelope"),
            pytest.param(
                b'<!DOCTYPE a [<!ENTITY e "x">]><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>',
                "document type",
                id="a DTD",
            ),
            pytest.param(envelope("<DogBarkedNotification/>"), "nothing here reads", id="another message"),
        ],
    )
    def test_that_cannot_be_read_say_why(self, body: bytes, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            decoded(body)

    def test_of_soap_1_2_are_read_too(self) -> None:
        body = reading_changed(meter_read(inside=value("1"))).replace(
            b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
        )
        assert result(decoded(body)).succeeded
