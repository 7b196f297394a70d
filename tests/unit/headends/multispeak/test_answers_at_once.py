"""Commands that a head end answers in the call itself: reads of what it has stored, provisionings, load events."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import CommandResult
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.adapter import MultiSpeakHeadEnd
from mdus.messaging.retry import TransientError
from tests.unit.headends.multispeak.messages import OTHER, envelope
from tests.unit.headends.multispeak.scripted_soap import CUT, ScriptedSoap, fault
from tests.unit.headends.multispeak.test_adapter import INTERVALS, METER_READ, error_object, submit, told
from tests.unit.headends.samples import AT, CORRELATION, SERIAL


class TestAnswersAtOnce:
    def test_are_results_of_stored_readings(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingsByMeterNo"
        reading = METER_READ.format(serial=SERIAL, value="12.5")
        scripted.script[method] = [scripted.result(method, reading), scripted.result(method)]

        taken = submit(head_end, CommandKind.READ_REGISTERS, SERIAL, OTHER)

        found, missing = told(taken.deliveries)
        assert (taken.token, taken.rejections) == (CORRELATION, ())
        assert (found.serial_id, found.correlation, found.succeeded) == (SERIAL, CORRELATION, True)
        assert found.readings[0].value == Decimal("12.5")
        assert (missing.serial_id, missing.succeeded, missing.code) == (OTHER, False, "NO_DATA")

    def test_are_kept_without_a_password(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingsByMeterNo"
        scripted.script[method] = [
            scripted.result(method, METER_READ.format(serial=SERIAL, value="1"), header='UserID="mdus" Pwd="secret"')
        ]
        taken = submit(head_end, CommandKind.READ_REGISTERS)
        assert b"secret" not in taken.deliveries[0].body

    def test_reject_a_meter_that_a_fault_is_about(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingsByMeterNo"
        scripted.script[method] = [
            (500, fault("Unknown meter", code="Client")),
            scripted.result(method, METER_READ.format(serial=OTHER, value="1")),
        ]
        taken = submit(head_end, CommandKind.READ_REGISTERS, SERIAL, OTHER)
        assert [(each.command_key, each.code) for each in taken.rejections] == [(f"key-{SERIAL}", "UNKNOWN_METER")]
        assert [event.serial_id for event in told(taken.deliveries)] == [OTHER]

    def test_of_intervals_come_in_pages(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingByMeterIDAndFieldNameIntervalData"
        pages = [
            INTERVALS.format(serial=SERIAL, start="2026-03-28T00:00:00Z", values="1,2"),
            INTERVALS.format(serial=SERIAL, start="2026-03-28T00:30:00Z", values="3"),
        ]
        scripted.script[method] = [
            scripted.result(method, pages[0], header='ObjectsRemaining="1" LastSent="b-1"'),
            scripted.result(method, pages[1], header='ObjectsRemaining="0"'),
        ]

        (result,) = told(submit(head_end, CommandKind.READ_INTERVALS).deliveries)

        assert [soap.text(each, "lastReceived") for each in scripted.asked] == [None, "b-1"]
        assert isinstance(result, CommandResult)
        assert [value for block in result.intervals for value in block.values] == [1, 2, 3]

    @pytest.mark.parametrize("said", [CUT, (200, b""), (500, fault("Object reference not set"))])
    def test_that_are_only_read_are_asked_for_again(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: tuple[int, bytes]
    ) -> None:
        scripted.script["GetReadingsByMeterNo"] = [said]
        with pytest.raises(TransientError):
            submit(head_end, CommandKind.READ_REGISTERS)

    def test_are_positions_of_the_record_where_the_meter_cannot_be_asked(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        listed = "<string>GetMethods</string><string>GetCDMeterState</string>"
        scripted.script["GetMethods"] = [scripted.result("GetMethods", listed)]
        scripted.script["GetCDMeterState"] = [
            scripted.result("GetCDMeterState", "Open", header='TimeStamp="2026-03-29T01:00:04Z"')
        ]

        (result,) = told(submit(head_end, CommandKind.SWITCH_STATE).deliveries)

        assert isinstance(result, CommandResult)
        assert (result.succeeded, result.switch_state, result.acted_at) == (True, SwitchState.DISCONNECTED, AT)

    def test_provision_meters(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "MeterAddNotification"
        scripted.script[method] = [scripted.result(method, error_object(OTHER, "register mismatch"))]

        taken = submit(head_end, CommandKind.PROVISION, SERIAL, OTHER)

        assert [(each.command_key, each.code) for each in taken.rejections] == [(f"key-{OTHER}", "REGISTER_MISMATCH")]
        assert [(event.serial_id, event.succeeded) for event in told(taken.deliveries)] == [(SERIAL, True)]

    def test_change_meters_that_are_known_already(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "MeterAddNotification"
        scripted.script[method] = [scripted.result(method, error_object(OTHER, "meter already exists"))]

        taken = submit(head_end, CommandKind.PROVISION, SERIAL, OTHER)

        assert taken.rejections == ()
        assert scripted.methods() == [method, "MeterChangedNotification"]
        assert {event.serial_id for event in told(taken.deliveries)} == {SERIAL, OTHER}

    def test_take_a_load_event(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        (result,) = told(submit(head_end, CommandKind.CONTROL_LOAD).deliveries)
        assert (result.serial_id, result.succeeded) == (SERIAL, True)

        method = "InitiateLoadManagementEvent"
        refused = f'<{method}Response><{method}Result objectID="x" errorString="no such point"/></{method}Response>'
        scripted.script[method] = [(200, envelope(refused))]
        taken = submit(head_end, CommandKind.CONTROL_LOAD)
        assert [each.code for each in taken.rejections] == ["REJECTED_UNKNOWN"]
