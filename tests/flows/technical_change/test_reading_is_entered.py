"""A person reads the meter and SAP hands the reading over: kept, confirmed, and nobody reads for it again."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.technical_change.messages import (
    CANCEL,
    CANCELLED,
    CODE,
    ORDER,
    ORDERED,
    READING,
    READING_TAKEN,
    RESULT,
    TYPE_ID,
    cancellation,
    order,
    reading,
)

METER = "000000000000000042"  # its register has the same number
DOCUMENT = "00000000000000000007"
TODAY = "2026-03-28"


def entered(**facts: str) -> str:
    return reading(DOCUMENT, METER, METER, **{"reason": "08", "on": TODAY, **facts})


def answers(sides: BothSides, root: str) -> list[list[str]]:
    return [texts(message, CODE) + texts(message, TYPE_ID) for message in sides.sap.messages(root)]


@pytest.fixture(autouse=True)
def _meter(sides: BothSides) -> None:
    sides.meter(METER)


class TestAReading:
    def test_is_kept_and_confirmed(self, sides: BothSides) -> None:
        uuid = sides.tell(READING, entered())
        sides.rest()
        (answer,) = sides.sap.messages(READING_TAKEN)
        assert texts(answer, CODE) == ["3"]
        assert texts(answer, "MeterReadingDocument/ID") == [DOCUMENT]
        assert texts(answer, "MessageHeader/ReferenceUUID") == [uuid]
        (kept,) = sides.all(MeterReading)
        assert (kept.sender_system, kept.device_id, kept.origin) == (SENDER, METER, ReadingOrigin.MANUAL)
        assert (kept.measured_at, kept.value) == (datetime(2026, 3, 28, 9, 0, tzinfo=UTC), Decimal("12345.67"))
        sides.clock.move(days=5)
        sides.rest()
        assert sides.sap.messages(RESULT) == []

    @pytest.mark.parametrize(
        ("on", "at", "measured_at"),
        [
            pytest.param("2026-03-29", "01:59:59", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), id="before"),
            pytest.param("2026-03-29", "03:00:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), id="after"),
        ],
    )
    def test_counts_at_the_local_time_of_a_day_an_hour_short(
        self, sides: BothSides, on: str, at: str, measured_at: datetime
    ) -> None:
        sides.clock.move(days=1)
        sides.tell(READING, entered(on=on, at=at))
        sides.rest()
        assert [one.measured_at for one in sides.all(MeterReading)] == [measured_at]

    def test_of_the_same_document_again_is_confirmed_again(self, sides: BothSides) -> None:
        for _ in range(2):
            sides.tell(READING, entered())
            sides.rest()
        assert answers(sides, READING_TAKEN) == [["3"], ["3"]]
        assert len(sides.all(MeterReading)) == 1

    def test_of_the_same_document_with_another_value_is_refused(self, sides: BothSides) -> None:
        for value in ("12345.67", "12345.68"):
            sides.tell(READING, entered(value=value))
            sides.rest()
        assert answers(sides, READING_TAKEN) == [["3"], ["5", "209(MDUS)"]]
        assert [one.value for one in sides.all(MeterReading)] == [Decimal("12345.67")]

    @pytest.mark.parametrize(
        ("facts", "type_id"),
        [
            pytest.param({"reason": "01"}, "204(MDUS)", id="a reason that is not set"),
            pytest.param({"on": "2025-12-31"}, "240(MDUS)", id="before the device"),
            pytest.param({"on": "2026-03-29"}, "241(MDUS)", id="tomorrow"),
            pytest.param({"value": "1.234"}, "242(MDUS)", id="a decimal more"),
        ],
    )
    def test_that_cannot_be_is_refused(self, sides: BothSides, facts: dict[str, str], type_id: str) -> None:
        sides.tell(READING, entered(**facts))
        sides.rest()
        assert answers(sides, READING_TAKEN) == [["5", type_id]]
        assert sides.all(MeterReading) == []

    def test_taken_back_counts_no_more(self, sides: BothSides) -> None:
        sides.tell(READING, entered())
        sides.rest()
        sides.tell(CANCEL, cancellation(DOCUMENT))
        sides.rest()
        assert answers(sides, CANCELLED) == [["3"]]
        assert sides.all(MeterReading) == []
        (document,) = sides.all(MeterReadingDocument)
        assert (document.status, document.value) == (DocumentStatus.CANCELLED, Decimal("12345.67"))

    def test_taken_back_leaves_what_the_meter_told_itself(self, sides: BothSides) -> None:
        at = datetime(2026, 3, 28, 9, 0, tzinfo=UTC)
        sides.snapshot(at, (METER, "12345.67"))
        sides.tell(READING, entered())
        sides.tell(CANCEL, cancellation(DOCUMENT))
        sides.rest()
        assert [one.origin for one in sides.all(MeterReading)] == [ReadingOrigin.SNAPSHOT]


class TestAnOrder:
    @pytest.mark.parametrize("source", ["0", "1"], ids=["stored values", "on demand"])
    def test_that_is_open_ends_with_the_reading(self, sides: BothSides, source: str) -> None:
        sides.tell(ORDER, order(DOCUMENT, METER, METER, reason="08", on="2026-03-29", source=source))
        sides.rest()
        sides.tell(READING, entered())
        sides.rest()
        assert (answers(sides, ORDERED), answers(sides, READING_TAKEN)) == ([["3"]], [["3"]])
        sides.clock.move(days=5)
        sides.rest()
        assert sides.sap.messages(RESULT) == []
        assert sides.head_end.submitted == []
        assert {command.status for command in sides.all(Command)} <= {CommandStatus.CANCELLED}
        assert [one.status for one in sides.all(MeterReadingDocument)] == [DocumentStatus.ENTERED]

    def test_that_is_just_being_read_sends_no_result(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(DOCUMENT, METER, METER, reason="08", on=TODAY, source="1"))
        sides.rest()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 1
        sides.tell(READING, entered())
        sides.rest()
        told = {"obis": "1-0:1.8.0*255", "at": "2026-03-28T11:00:00Z", "value": "12346.00", "unit": "kWh"}
        sides.answer(CommandKind.READ_ON_DEMAND, readings=[told])
        sides.rest()
        assert sides.sap.messages(RESULT) == []
        assert len(sides.all(MeterReading)) == 2

    def test_that_comes_after_the_reading_is_accepted_and_sends_no_result(self, sides: BothSides) -> None:
        sides.tell(READING, entered())
        sides.rest()
        sides.tell(ORDER, order(DOCUMENT, METER, METER, reason="08", on=TODAY))
        sides.rest()
        sides.clock.move(days=5)
        sides.rest()
        assert answers(sides, ORDERED) == [["3"]]
        assert sides.sap.messages(RESULT) == []

    def test_of_another_document_may_take_the_reading_for_its_value(self, sides: BothSides) -> None:
        sides.tell(READING, entered(at="00:00:00"))
        sides.tell(ORDER, order("8", METER, METER, reason="08", on=TODAY))
        sides.rest()
        (result,) = sides.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/Result/MeterReadingResultValue") == ["12345.67"]
