"""Case 8. A date read in one zone and written in another is another day.

What SAP writes as a date stays that date, wherever the server, the sender and the meter stand; only date and time
together, in a named zone, are an instant.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    LOCATION,
    MANUAL,
    MANUAL_TAKEN,
    METER,
    READ,
    READ_ON,
    READ_TIME,
    REGISTERS,
    RESULT,
    device,
    locations,
    manual_reading,
    place,
    reading,
    register,
    registers,
)
from tests.flows.hard_cases.steps import MIDNIGHT, answers, document

SCHEDULED = "MeterReadingDocument/ScheduledMeterReadingDate"


class TestADate:
    def test_is_stored_as_sap_wrote_it(self, empty_sides_on_sqlite: BothSides, zone_of_the_server: str) -> None:
        sides = empty_sides_on_sqlite
        dated = {"starts": "2026-03-01", "ends": "2026-03-31"}
        sides.tell(CREATE, device(**dated))
        sides.tell(REGISTERS, registers(register(**dated)))
        sides.tell(LOCATION, locations(place(**dated)))
        sides.rest()

        for kind in (EndDevice, Register, DeviceLocation):
            assert [(one.valid_from, one.valid_to) for one in sides.all(kind)] == [(date(2026, 3, 1), date(2026, 4, 1))]

    def test_of_an_order_comes_back_in_its_result(self, sides_on_sqlite: BothSides, zone_of_the_server: str) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on="2026-03-29"))
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        sides.rest()

        [result] = sides.sap.messages(RESULT)
        assert (texts(result, SCHEDULED), texts(result, READ_ON), texts(result, READ_TIME)) == (
            ["2026-03-29"],
            ["2026-03-30"],
            ["00:00:00"],
        )


class TestAReadingOfAPerson:
    @pytest.mark.parametrize(
        ("at", "instant"),
        [
            pytest.param("00:00:00", datetime(2026, 3, 26, 23, tzinfo=UTC), id="the first second"),
            pytest.param("00:30:00", datetime(2026, 3, 26, 23, 30, tzinfo=UTC), id="while it is yesterday in UTC"),
            pytest.param("23:59:59", datetime(2026, 3, 27, 22, 59, 59, tzinfo=UTC), id="the last second"),
            pytest.param("24:00:00", datetime(2026, 3, 27, 23, tzinfo=UTC), id="the end of the day"),
        ],
    )
    def test_counts_at_its_local_date_and_time(
        self, sides_on_sqlite: BothSides, zone_of_the_server: str, at: str, instant: datetime
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(MANUAL, manual_reading(on="2026-03-27", at=at))
        sides.rest()

        assert answers(sides, MANUAL_TAKEN) == [("3", [])]
        assert [one.measured_at for one in sides.all(MeterReading)] == [instant]
        assert document(sides).scheduled_on == date(2026, 3, 27)

    @pytest.mark.parametrize(
        ("on", "answer"),
        [
            pytest.param("2026-02-28", ("5", ["240(MDUS)"]), id="the day before the meter's first"),
            pytest.param("2026-03-01", ("3", []), id="its first day"),
            pytest.param("2026-03-28", ("3", []), id="today"),
            pytest.param("2026-03-29", ("5", ["241(MDUS)"]), id="tomorrow"),
        ],
    )
    def test_is_of_a_day_the_meter_has_had(
        self, empty_sides_on_sqlite: BothSides, on: str, answer: tuple[str, list[str]]
    ) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device(starts="2026-03-01"))
        sides.tell(REGISTERS, registers(register(starts="2026-03-01")))
        sides.tell(MANUAL, manual_reading(on=on, at="00:00:00"))
        sides.rest()

        assert answers(sides, MANUAL_TAKEN) == [answer]

    @pytest.mark.parametrize(
        ("zone", "answer"),
        [
            pytest.param("Asia/Tokyo", ("3", []), id="where it is the 29th already"),
            pytest.param("America/New_York", ("5", ["241(MDUS)"]), id="where it is the 28th still"),
        ],
    )
    def test_is_of_today_by_the_calendar_of_its_sender(
        self, open_sides: Open, sqlite_url: str, tmp_path: Path, zone: str, answer: tuple[str, list[str]]
    ) -> None:
        (tmp_path / "mdus.toml").write_text(f'time_zone = "{zone}"\n')
        sides = open_sides(sqlite_url)
        sides.clock.instant = datetime(2026, 3, 28, 20, tzinfo=UTC)
        sides.meter(METER)
        sides.tell(MANUAL, manual_reading(on="2026-03-29", at="01:00:00"))
        sides.rest()

        assert answers(sides, MANUAL_TAKEN) == [answer]

    def test_of_the_last_second_of_a_day_is_not_taken_for_the_next_day(self, sides: BothSides) -> None:
        """The register begins with the day after, so that a day's shift would be a register's."""
        sides.tell(CREATE, device("7"))
        sides.tell(REGISTERS, registers(register("7", starts="2026-03-27"), device_id="7"))
        for number, on in enumerate(("2026-03-26", "2026-03-27")):
            sides.tell(MANUAL, manual_reading(str(number), device_id="7", on=on, at="23:59:59"))
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()

        assert sorted(answers(sides, MANUAL_TAKEN)) == [("3", []), ("5", ["202(MDUS)"])]
        assert document(sides, "1").status is DocumentStatus.ENTERED
