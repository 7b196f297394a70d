"""Where is my message? One call tells what came, what is due, and what is missing since when; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.usage_point import UsagePoint
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.meter_reading.test_reading_is_ordered import (
    CANCEL,
    CONFIRMED,
    DEVICE,
    DOCUMENT,
    MIDNIGHT,
    ORDER,
    START,
    cancellation,
    confirmation,
    order,
    read_and_sent,
)

CREATE_REGISTER = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
UNKNOWN = "000000000000000077"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def trace(sides: BothSides, name: str, **parameters: Any) -> dict[str, Any]:
    response = sides.mdus.get("/api/v1/trace", params={"of": name, **parameters})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def missing(sides: BothSides, name: str) -> list[tuple[str, datetime]]:
    return [(step["step"], datetime.fromisoformat(step["since"])) for step in trace(sides, name)["missing"]]


def states(sides: BothSides, name: str) -> dict[str, str]:
    return {step["step"]: step["state"] for step in trace(sides, name)["steps"]}


def register(device: str = UNKNOWN) -> str:
    return (
        f"<UtilitiesDevice><ID>{device}</ID><Register><StartDate>2026-03-28</StartDate><EndDate>9999-12-31</EndDate>"
        f"<UtilitiesMeasurementTaskID>{device}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtilitiesDivisionCategoryCode>01</UtilitiesDivisionCategoryCode><Specifications>"
        f"<StartDate>2026-03-28</StartDate><EndDate>9999-12-31</EndDate><MeasureUnitCode>KWH</MeasureUnitCode>"
        f"<DecimalValuePrecision><TotalDigitNumberValue>8</TotalDigitNumberValue>"
        f"<FractionDigitNumberValue>2</FractionDigitNumberValue></DecimalValuePrecision></Specifications></Register>"
        f"<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
        f"</UtilitiesDevice>"
    )


class TestALostMessageIsFound:
    def test_that_sap_never_confirmed(self, sides: BothSides) -> None:
        read_and_sent(sides)
        sent_at = sides.clock.now()
        assert states(sides, DOCUMENT)["confirmed by SAP"] == "due"
        sides.clock.move(days=2)
        assert missing(sides, DOCUMENT) == [("confirmed by SAP", sent_at)]

        sides.tell(CONFIRMED, confirmation("3"))
        sides.rest()
        assert states(sides, DOCUMENT)["confirmed by SAP"] == "came"
        assert missing(sides, DOCUMENT) == []

    def test_that_the_head_end_never_answered(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="1"))
        sides.rest()
        handed_over = sides.clock.now()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 1
        assert states(sides, DOCUMENT)["answered by the head end"] == "due"
        sides.clock.move(hours=3)
        assert ("answered by the head end", handed_over) in missing(sides, DOCUMENT)

        sides.rest()  # it is given up: still told as what did not come
        assert ("answered by the head end", handed_over) in missing(sides, DOCUMENT)

    def test_whose_device_never_came(self, sides: BothSides) -> None:
        uuid = sides.tell(CREATE_REGISTER, register())
        sides.rest()
        [(step, since)] = missing(sides, uuid)
        assert step.startswith("arrival of ")
        assert UNKNOWN in step
        assert since == START

    def test_that_does_not_reach_sap(self, sides: BothSides) -> None:
        sides.sap.closed = True
        sides.tell(ORDER, order())
        sides.rest()
        [step] = [one for one in trace(sides, DOCUMENT)["steps"] if one["step"] == "confirmation delivered to SAP"]
        assert step["state"] == "failed"  # after its last attempt
        assert step["note"] == "closed"

    def test_that_was_refused_at_the_door(self, sides: BothSides) -> None:
        uuid = "0f0e0d0c-0b0a-4908-8706-050403020100"
        with pytest.raises(AssertionError):
            sides.tell(ORDER, "<MeterReadingDocument/>", uuid_=uuid)
        [step] = trace(sides, uuid)["steps"]
        assert (step["step"], step["state"]) == ("message accepted", "failed")
        assert step["note"]


class TestASubject:
    @pytest.fixture
    def uuid(self, sides: BothSides) -> str:
        sides.save(
            UsagePoint(
                sender_system=SENDER,
                device_id=DEVICE,
                measurement_task_id=DEVICE,
                point_of_delivery_id="DE0001234",
                valid_from=START - timedelta(days=9),
            )
        )
        uuid = sides.tell(ORDER, order())
        sides.rest()
        return uuid

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(DOCUMENT, id="order"),
            pytest.param(DOCUMENT.lstrip("0"), id="order without zeros"),
            pytest.param(DEVICE, id="device"),
            pytest.param(DEVICE.lstrip("0"), id="device without zeros"),
            pytest.param(f"S{DEVICE}", id="serial number"),
            pytest.param("DE0001234", id="point of delivery"),
        ],
    )
    def test_is_found_by(self, sides: BothSides, uuid: str, name: str) -> None:
        assert states(sides, name)["order received"] == "came"
        assert states(sides, name)["confirmation delivered to SAP"] == "came"
        assert states(sides, name)["value read"] == "due"

    def test_is_found_by_the_uuid_of_its_message_however_it_is_written(self, sides: BothSides, uuid: str) -> None:
        assert states(sides, uuid)["value read"] == "due"
        assert states(sides, uuid.upper())["value read"] == "due"

    def test_is_found_by_the_uuid_of_its_confirmation(self, sides: BothSides, uuid: str) -> None:
        [accepted] = sides.sap.received
        made = accepted.findtext("MessageHeader/UUID")
        assert states(sides, str(made))["order received"] == "came"

    def test_is_found_by_the_key_of_its_command(self, sides: BothSides, uuid: str) -> None:
        sides.clock.instant = MIDNIGHT + timedelta(hours=6)
        sides.rest()
        [asked] = sides.submitted(CommandKind.READ_REGISTERS)
        assert states(sides, asked["reference"])["handed over to the head end"] == "came"

    def test_has_its_cancellation(self, sides: BothSides, uuid: str) -> None:
        cancelling = sides.tell(CANCEL, cancellation())
        sides.rest()
        assert states(sides, DOCUMENT)["cancelled"] == "came"
        assert states(sides, cancelling)["cancelled"] == "came"

    def test_tells_what_happened_oldest_first(self, sides: BothSides, uuid: str) -> None:
        lines = trace(sides, DOCUMENT)["happenings"]
        assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
        assert {"message from SAP", "message to SAP", "item"} <= {line["what"] for line in lines}
        assert all(line["payload"] is None for line in lines)

    def test_has_its_payloads_when_asked_for(self, sides: BothSides, uuid: str) -> None:
        payloads = [line["payload"] for line in trace(sides, DOCUMENT, payloads=True)["happenings"] if line["payload"]]
        assert any(DOCUMENT in payload for payload in payloads)

    def test_says_that_there_is_more(self, sides: BothSides) -> None:
        for number in range(5):
            sides.tell(ORDER, order(f"{number:020}"))
        sides.rest()
        assert trace(sides, DEVICE, limit=3)["is_cut"] is True
        assert trace(sides, DEVICE)["is_cut"] is False

    def test_that_nobody_knows_is_not_found(self, sides: BothSides) -> None:
        response = sides.mdus.get("/api/v1/trace", params={"of": "nobody"})
        assert response.status_code == 404
        assert "nobody" in response.json()["detail"]
