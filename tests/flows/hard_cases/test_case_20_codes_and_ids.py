"""Case 20. Codes with and without leading zeros, device ids with and without, UUIDs in capitals and not.

Codes are compared as numbers and told back as they came. Ids are text: the zeros are part of the name, whoever pads
them names another thing. A UUID is the same in any case.
"""

from __future__ import annotations

import pytest

from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_document import DocumentStatus
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    CREATED,
    HEADER_UUID,
    METER,
    READ,
    READ_ACCEPTED,
    REFERENCE,
    REGISTERS,
    REGISTERS_CREATED,
    RESULT,
    RESULT_CONFIRMED,
    SWITCH,
    SWITCHED,
    device,
    reading,
    register,
    registers,
    result_confirmed,
    switch,
)
from tests.flows.hard_cases.steps import (
    MIDNIGHT,
    START,
    answers,
    carry_out,
    document,
    message,
    read_and_sent,
    switches,
    take,
)
from tests.flows.intake.messages import header, new_uuid

PLAIN = METER.lstrip("0")


class TestACode:
    @pytest.mark.parametrize("reason", ["01", "1"])
    def test_of_a_reason_is_a_number_and_told_back_as_it_came(self, sides_on_sqlite: BothSides, reason: str) -> None:
        read_and_sent(sides_on_sqlite, reading(reason=reason))

        assert answers(sides_on_sqlite, READ_ACCEPTED) == [("3", [])]
        [result] = sides_on_sqlite.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/MeterReadingReasonCode") == [reason]

    @pytest.mark.parametrize(
        ("category", "state"), [("1", "disconnected"), ("01", "disconnected"), ("2", "connected"), ("02", "connected")]
    )
    def test_of_a_switch_is_too(self, sides_on_sqlite: BothSides, category: str, state: str) -> None:
        sides_on_sqlite.tell(SWITCH, switch(planned_at=START, category=category))
        carry_out(sides_on_sqlite, state)

        assert switches(sides_on_sqlite) == [state]
        [confirmation] = sides_on_sqlite.sap.messages(SWITCHED)
        assert texts(confirmation, "UtilitiesConnectionStatusChangeRequest/CategoryCode") == [category]

    @pytest.mark.parametrize("category", ["0", "00", "3", "10", "D"])
    def test_of_a_switch_that_means_nothing_moves_nothing(self, sides_on_sqlite: BothSides, category: str) -> None:
        sides_on_sqlite.tell(SWITCH, switch(planned_at=START, category=category))
        sides_on_sqlite.rest()

        assert answers(sides_on_sqlite, SWITCHED) == [("5", ["301(MDUS)"])]
        assert switches(sides_on_sqlite) == []

    @pytest.mark.parametrize("division", ["1", "01"])
    def test_of_a_division_says_what_a_register_measures(self, sides_on_sqlite: BothSides, division: str) -> None:
        sides_on_sqlite.tell(CREATE, device("7"))
        sides_on_sqlite.tell(REGISTERS, registers(register("7", obis="", division=division), device_id="7"))
        sides_on_sqlite.rest()

        assert answers(sides_on_sqlite, REGISTERS_CREATED) == [("3", [])]

    @pytest.mark.parametrize(("code", "status"), [("03", DocumentStatus.CONFIRMED), ("05", DocumentStatus.RESULT_SENT)])
    def test_of_sap_s_answer_is_read_alike(self, sides_on_sqlite: BothSides, code: str, status: DocumentStatus) -> None:
        read_and_sent(sides_on_sqlite)
        sides_on_sqlite.tell(RESULT_CONFIRMED, result_confirmed(code))
        sides_on_sqlite.rest()

        assert document(sides_on_sqlite).status is status
        assert (document(sides_on_sqlite).note is None) is (code == "03")


class TestAnId:
    def test_with_its_zeros_and_without_names_two_devices(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        sides.tell(CREATE, device(METER, serial="A"))
        sides.tell(CREATE, device(PLAIN, serial="B"))
        sides.rest()

        assert {one.device_id: one.serial_id for one in sides.all(EndDevice)} == {METER: "A", PLAIN: "B"}
        told = [texts(found, "UtilitiesDevice/ID")[0] for found in sides.sap.messages(CREATED)]
        assert sorted(told) == sorted([METER, PLAIN])

    def test_is_never_taken_for_the_padded_one(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading("1", device_id=PLAIN, task=METER))
        sides.tell(READ, reading("2", device_id=METER, task=PLAIN))
        sides.tell(SWITCH, switch(PLAIN, planned_at=START))
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()

        assert sorted(answers(sides, READ_ACCEPTED)) == [("5", ["110(MDUS)"]), ("5", ["201(MDUS)"])]
        assert answers(sides, SWITCHED) == [("5", ["110(MDUS)"])]
        assert switches(sides) == []

    def test_comes_back_in_the_result_as_sap_wrote_it(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        read_and_sent(sides, reading("00000000000000000007"))
        task = "MeterReadingDocument/UtiltiesMeasurementTask"
        [result] = sides.sap.messages(RESULT)

        assert texts(result, "MeterReadingDocument/ID") == ["00000000000000000007"]
        assert texts(result, f"{task}/UtilitiesMeasurementTaskID") == [METER]
        assert texts(result, f"{task}/UtiltiesDevice/UtilitiesDeviceID") == [METER]

    def test_of_a_document_without_its_zeros_is_another_document(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        read_and_sent(sides, reading("0007"))
        sides.tell(RESULT_CONFIRMED, result_confirmed(document="7"))
        sides.rest()
        assert document(sides).status is DocumentStatus.RESULT_SENT

        sides.tell(RESULT_CONFIRMED, result_confirmed(document="0007"))
        sides.rest()
        assert document(sides).status is DocumentStatus.CONFIRMED


class TestAUuid:
    def test_in_capitals_is_told_back_as_it_came(self, sides_on_sqlite: BothSides) -> None:
        uuid = new_uuid()
        assert uuid.upper() == uuid != uuid.lower()
        take(sides_on_sqlite, message(READ, reading(), header_xml=header(uuid=uuid)))
        sides_on_sqlite.rest()

        [accepted] = sides_on_sqlite.sap.messages(READ_ACCEPTED)
        assert texts(accepted, REFERENCE) == [uuid]

    def test_of_ours_is_known_again_in_capitals(self, sides: BothSides) -> None:
        read_and_sent(sides)
        [result] = sides.sap.messages(RESULT)
        head = header(uuid=new_uuid(), reference=texts(result, HEADER_UUID)[0].upper())
        take(sides, message(RESULT_CONFIRMED, result_confirmed(), header_xml=head))
        sides.rest()

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert sides.clock.now() > MIDNIGHT

    @pytest.mark.parametrize("again", [str.lower, str.upper], ids=["lower", "upper"])
    def test_in_other_letters_has_no_second_effect(self, sides: BothSides, again: type[str]) -> None:
        uuid = new_uuid()
        take(sides, message(SWITCH, switch(planned_at=START), header_xml=header(uuid=uuid)))
        sides.mdus.post(message(SWITCH, switch(planned_at=START), header_xml=header(uuid=again(uuid))))
        carry_out(sides)

        assert switches(sides) == ["disconnected"]
        assert answers(sides, SWITCHED) == [("3", [])]
