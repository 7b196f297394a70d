"""What is sent to a head end, over real HTTP."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.channel_map import ChannelMap, ChannelRow
from mdus.domain.channel_name import Mrid
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import Batch
from mdus.headends.cim.adapter import HEAD_END, CimHeadEnd
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from tests.unit.headends.cim.messages import COMMAND_KEY, ENERGY, QUARTERS, command, error, reply, switch, tables
from tests.unit.headends.cim.scripted import ScriptedCim, connected, row
from tests.unit.headends.samples import (
    AT,
    CORRELATION,
    DEVICE,
    KEY,
    LOAD_EVENT,
    LOAD_EVENT_CANCELLED,
    SERIAL,
    batch,
    register,
)

OTHER = "11111111-2222-5333-8444-555555555555"
SUMMATION = ENERGY.replace("0.0.0.1.", "0.0.0.9.")
ACKNOWLEDGED = reply("EndDeviceControls", errors=[error("0.3")])


def channel(obis: str, **facts: Any) -> ChannelRow:
    """Return a row that is for the head end `city` alone."""
    values = {"name": f"own {obis}", "obis": obis, "kind": "register", "unit": "kWh", "head_end": "city"}
    return ChannelRow.model_validate(values | facts)


def with_rows(*own: ChannelRow) -> ChannelMap:
    """Return the names of `city` where it has rows beside those for all."""
    city = Row(name="city", kind="cim", time_zone="Europe/Berlin")
    return ChannelMap([*tables().rows("channels", ChannelRow), *own], head_end=city)


class TestHeader:
    def test_is_in_the_order_of_the_standard(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(ACKNOWLEDGED)
        head_end.submit(batch(switch()))

        told = [(each.tag.rpartition("}")[2], each.text) for each in scripted.elements("Header")[0]]
        assert [name for name, _ in told] == [
            "Verb",
            "Noun",
            "Timestamp",
            "Source",
            "AsyncReplyFlag",
            "ReplyAddress",
            "AckRequired",
            "MessageID",
            "CorrelationID",
        ]
        assert dict(told) | {"MessageID": "?"} == {
            "Verb": "create",
            "Noun": "EndDeviceControls",
            "Timestamp": "2026-03-29T01:00:04Z",
            "Source": "MDUS",
            "AsyncReplyFlag": "true",
            "ReplyAddress": "http://mdus/head-ends/city/cim",
            "AckRequired": "true",
            "MessageID": "?",
            "CorrelationID": CORRELATION,
        }

    @pytest.mark.parametrize(
        ("options", "root", "action"),
        [
            pytest.param(
                {},
                "{http://iec.ch/TC57/2011/EndDeviceControlsMessage}CreateEndDeviceControls",
                "http://iec.ch/TC57/2011/EndDeviceControls/CreateEndDeviceControls",
                id="typed",
            ),
            pytest.param(
                {"style": "generic", "namespaces": "2010"},
                "{http://www.iec.ch/TC57/2010/schema/message}RequestMessage",
                "http://www.iec.ch/TC57/2010/schema/message/Request",
                id="generic of 2010",
            ),
        ],
    )
    def test_stands_in_a_root_of_the_style_and_vintage_said(
        self, scripted: ScriptedCim, options: dict[str, Any], root: str, action: str
    ) -> None:
        scripted.answer(ACKNOWLEDGED)
        connected(scripted, **options).submit(batch(switch()))

        assert scripted.sent[0][0][0].tag == root
        assert scripted.actions == [f'"{action}"']

    def test_logs_in_with_its_own_credentials(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(ACKNOWLEDGED)
        head_end.submit(batch(switch()))

        assert scripted.authorizations == {"Basic " + base64.b64encode(b"mdus:secret").decode()}


class TestControls:
    def of(self, scripted: ScriptedCim, asked: Command, **options: Any) -> dict[str, Any]:
        scripted.answer(ACKNOWLEDGED)
        connected(scripted, **options).submit(batch(asked))
        found: dict[str, Any] = {}
        for each in scripted.elements("Payload/EndDeviceControls/EndDeviceControl")[0].iter():
            if each.text or each.get("ref"):
                found[each.tag.rpartition("}")[2]] = each.text or each.get("ref")
        return found

    def test_a_switch_names_key_type_and_meter(self, scripted: ScriptedCim) -> None:
        assert self.of(scripted, switch()) == {
            "mRID": COMMAND_KEY,
            "EndDeviceControlType": "3.31.0.23",
            "name": "MeterNumber",
            "end": "2026-03-29T02:00:04Z",
        }
        assert scripted.text("Payload/EndDeviceControls/EndDeviceControl/EndDevices/Names/name") == SERIAL
        assert self.of(scripted, switch(SwitchState.CONNECTED))["EndDeviceControlType"] == "3.31.0.18"

    @pytest.mark.parametrize("kind", [CommandKind.SWITCH, CommandKind.LIMIT_DEMAND, CommandKind.SET_TIME])
    def test_a_switch_and_a_limit_expire(self, scripted: ScriptedCim, kind: CommandKind) -> None:
        wanted = {"wanted_state": SwitchState.DISCONNECTED} if kind is CommandKind.SWITCH else {}
        expires = kind is not CommandKind.SET_TIME
        end = "Payload/EndDeviceControls/EndDeviceControl/primaryDeviceTiming/interval/end"

        self.of(scripted, command(kind, **wanted))
        assert scripted.text(end) == ("2026-03-29T02:00:04Z" if expires else None)
        self.of(scripted, command(kind, **wanted), expiry=False)
        assert scripted.text(end) is None

    @pytest.mark.parametrize(("way", "element"), [("serial_number", "serialNumber"), ("mrid", "mRID")])
    def test_a_meter_may_be_named_otherwise(self, scripted: ScriptedCim, way: str, element: str) -> None:
        assert self.of(scripted, switch(), identify_by=way)[element] == SERIAL

    @pytest.mark.parametrize(
        ("options", "parameters", "code"),
        [
            ({}, (("limit_kw", "3.5"),), "3.31.139.26"),
            ({}, (), "3.31.139.22"),
            ({"limit_by": "load_limiting"}, (("limit_kw", "3.5"),), "0.15.0.54"),
            ({"limit_by": "load_limiting"}, (), "0.15.0.55"),
        ],
    )
    def test_a_limit_begins_and_ends(
        self, scripted: ScriptedCim, options: dict[str, Any], parameters: Any, code: str
    ) -> None:
        told = self.of(scripted, command(CommandKind.LIMIT_DEMAND, parameters=parameters), **options)

        assert told["EndDeviceControlType"] == code
        assert told.get("value") == dict(parameters).get("limit_kw")

    def test_a_load_control_is_scheduled(self, scripted: ScriptedCim) -> None:
        told = self.of(scripted, command(CommandKind.CONTROL_LOAD, parameters=tuple(LOAD_EVENT.items())))

        assert told | {"mRID": "?", "name": "?"} == {
            "mRID": "?",
            "name": "?",
            "issuerTrackingID": "peak",
            "avgLoadAdjustment": "-60",
            "EndDeviceControlType": "0.15.43.300",
            "duration": "90",
            "durationIndefinite": "false",
            "start": "2026-03-29T16:00:00Z",
            "end": "2026-03-29T17:30:00Z",
        }

    def test_a_load_control_is_cancelled(self, scripted: ScriptedCim) -> None:
        told = self.of(scripted, command(CommandKind.CONTROL_LOAD, parameters=tuple(LOAD_EVENT_CANCELLED.items())))

        assert (told["EndDeviceControlType"], told["issuerTrackingID"], told["cancelNow"]) == (
            "0.15.43.8",
            "peak",
            "true",
        )

    def test_a_clock_is_set(self, scripted: ScriptedCim) -> None:
        assert self.of(scripted, command(CommandKind.SET_TIME))["EndDeviceControlType"] == "3.36.116.13"

    def test_a_text_is_shown(self, scripted: ScriptedCim) -> None:
        told = self.of(scripted, command(CommandKind.SHOW_TEXT, parameters=(("text", "Pay by \x07Friday & save"),)))

        assert told["textMessage"] == "Pay by ?Friday & save"


class TestQuestions:
    def test_a_reading_on_demand_names_meters_and_no_period(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        head_end.submit(batch(command(CommandKind.READ_ON_DEMAND)))

        assert scripted.sent[0][0][0].tag == "{http://iec.ch/TC57/2011/GetMeterReadingsMessage}GetMeterReadings"
        assert scripted.text("Header/Noun") == "MeterReadings"
        assert scripted.text("Request/GetMeterReadings/EndDevice/Names/name") == SERIAL
        assert scripted.text("Request/StartTime") is None
        assert ENERGY in [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]

    def test_a_sign_of_life_is_a_reading_on_demand(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        head_end.submit(batch(command(CommandKind.PING)))

        assert scripted.text("Header/Noun") == "MeterReadings"

    def test_stored_values_are_asked_for_by_period(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        later = command(CommandKind.READ_INTERVALS, command_key=OTHER, serial_id="9", period_to=AT + timedelta(hours=1))
        head_end.submit(batch(command(CommandKind.READ_INTERVALS), later))

        periods = [
            (scripted.text("Request/StartTime", each), scripted.text("Request/EndTime", each)) for each in (0, 1)
        ]
        assert periods == [
            ("2026-03-28T01:00:04Z", "2026-03-29T01:00:04Z"),
            ("2026-03-28T01:00:04Z", "2026-03-29T02:00:04Z"),
        ]
        mrids = [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]
        assert ENERGY not in mrids

    @pytest.mark.parametrize(
        ("leaves", "named"),
        [(AT - timedelta(microseconds=1), ENERGY), (AT, SUMMATION)],
        ids=["before the row is valid", "from then on"],
    )
    def test_a_reading_is_asked_for_by_what_names_mean_when_it_leaves(
        self, scripted: ScriptedCim, leaves: datetime, named: str
    ) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        head_end = connected(scripted, channels=with_rows(channel("1-0:1.8.0", mrid=SUMMATION, valid_from=AT)))

        head_end.submit(batch(command(CommandKind.READ_ON_DEMAND), at=leaves))

        asked = [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]
        assert [each for each in asked if each in (ENERGY, SUMMATION)] == [named]

    def test_stored_values_are_asked_for_by_all_that_names_meant_in_their_period(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        since = AT - timedelta(hours=1)
        head_end = connected(scripted, channels=with_rows(channel("1-0:1.8.0", mrid=SUMMATION, valid_from=since)))

        head_end.submit(batch(command(CommandKind.READ_REGISTERS)))

        asked = [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]
        assert [each for each in asked if each in (ENERGY, SUMMATION)] == [ENERGY, SUMMATION]

    def test_all_meters_are_asked_by_the_rows_of_the_head_end(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        head_end = connected(scripted, channels=with_rows(channel("1-0:1.8.0", mrid=SUMMATION)))

        list(head_end.snapshots(period_from=AT - timedelta(hours=1), period_to=AT))

        asked = [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]
        assert [each for each in asked if each in (ENERGY, SUMMATION, QUARTERS)] == [SUMMATION]

    def test_the_rows_are_those_of_the_settings(self, scripted: ScriptedCim, tmp_path: Path) -> None:
        (tmp_path / "channels.toml").write_text(
            f'[[channels]]\nname = "own"\nhead_end = "city"\nobis = "1-0:1.8.0"\nkind = "register"\nunit = "kWh"\n'
            f'mrid = "{SUMMATION}"\n'
        )
        settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=discover().tables)
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))

        HEAD_END.connect(settings, row(scripted.url)).submit(batch(command(CommandKind.READ_ON_DEMAND)))

        asked = [each.text for each in scripted.elements("Request/GetMeterReadings/ReadingType/mRID")]
        assert [each for each in asked if each in (ENERGY, SUMMATION)] == [SUMMATION]

    def test_reading_types_need_not_be_named(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterReadings", errors=[error("0.3")]))
        connected(scripted, names_reading_types=False).submit(batch(command(CommandKind.READ_ON_DEMAND)))

        assert scripted.elements("Request/GetMeterReadings/ReadingType") == []

    @pytest.mark.parametrize(
        ("options", "noun"),
        [
            ({}, "EndDeviceConfig"),
            ({"switch_state_by": "MeterReadings", "relay_reading_type": "0.0.0.1"}, "MeterReadings"),
        ],
    )
    def test_a_position_is_asked_for_as_the_row_says(
        self, scripted: ScriptedCim, options: dict[str, Any], noun: str
    ) -> None:
        scripted.answer(reply(noun, errors=[error("0.3")]))
        connected(scripted, **options).submit(batch(command(CommandKind.SWITCH_STATE)))

        assert scripted.text("Header/Noun") == noun
        assert scripted.elements(f"Request/Get{noun}/EndDevice")


class TestProvisioning:
    def given(self, *registers: Any) -> Batch:
        return batch(command(CommandKind.PROVISION), devices={KEY: DEVICE}, registers={KEY: registers})

    def test_names_device_registers_and_channels(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterConfig", errors=[error("0.3")]))
        head_end.submit(
            self.given(register(factor=Decimal("40.0")), register(reading_type="1-0:2.8.0*255", factor=Decimal(40)))
        )

        meter = "Payload/MeterConfig/Meter"
        assert scripted.text("Header/Verb") == "create"
        assert [each.text for each in scripted.elements(f"{meter}/Names/name")] == [SERIAL, KEY[1]]
        assert scripted.text(f"{meter}/MeterMultipliers/value") == "40.0"
        registers = f"{meter}/SimpleEndDeviceFunction/Registers"
        assert [each.text for each in scripted.elements(f"{registers}/leftDigitCount")] == ["6", "6"]
        assert scripted.elements(f"{registers}/Channels/ReadingType")[0].get("ref") == ENERGY

    def test_names_channels_by_the_rows_of_the_head_end(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterConfig", errors=[error("0.3")]))
        own = {"1-0:1.8.0": ENERGY.replace("3.72", "0.72"), "1-0:99.99.99": ENERGY.replace(".12.0", ".99.0")}
        rows = [channel(obis, unit="Wh", mrid=mrid) for obis, mrid in own.items()]
        registers = (register(), register(reading_type="1-0:99.99.99*255"))
        connected(scripted, channels=with_rows(*rows)).submit(self.given(*registers))

        told = scripted.elements("Payload/MeterConfig/Meter/SimpleEndDeviceFunction/Registers/Channels/ReadingType")
        assert [each.get("ref") for each in told] == list(own.values())

    def test_names_whatever_has_a_row(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("MeterConfig", errors=[error("0.3")]))
        profiles = ("1-0:3.29.0*255", "1-0:9.29.0*255", "7-0:3.2.0*255")
        head_end.submit(self.given(*(register(reading_type=each) for each in profiles)))

        told = scripted.elements("Payload/MeterConfig/Meter/SimpleEndDeviceFunction/Registers/Channels/ReadingType")
        channels = with_rows()
        found = [channels.find(Mrid(str(each.get("ref")))) for each in told]
        assert [each.reading_type for each in found if each is not None] == list(profiles)

    def test_gives_no_register_a_name_that_means_another_here(self, scripted: ScriptedCim) -> None:
        # Its values would come in under the other code, and a meter be billed by them.
        head_end = connected(scripted, channels=with_rows(channel("1-0:1.9.0", mrid=ENERGY)))

        taken = head_end.submit(self.given(register()))

        assert [(each.code, each.text) for each in taken.rejections] == [
            ("NOT_PROVISIONABLE", "no ReadingType is known for 1-0:1.8.0*255")
        ]
        assert scripted.sent == []

    @pytest.mark.parametrize(
        ("registers", "reason"),
        [
            ((), "no register"),
            ((register(reading_type="1-0:99.99.99*255"),), "no ReadingType is known for 1-0:99.99"),
            ((register(reading_type="1-0:32.7.0*255"),), "no ReadingType is known for 1-0:32.7.0"),
        ],
        ids=["without registers", "unknown register", "what is measured at an instant"],
    )
    def test_rejects_what_nobody_could_collect(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, registers: Any, reason: str
    ) -> None:
        (rejection,) = head_end.submit(self.given(*registers)).rejections

        assert rejection.code == "NOT_PROVISIONABLE"
        assert reason in rejection.text
        assert scripted.sent == []
