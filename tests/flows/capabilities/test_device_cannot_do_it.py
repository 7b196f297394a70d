"""Orders for devices that cannot serve them, through SOAP: refused at once with the reason, never left to time out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.bootstrap.composition import examine
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.settings import load_settings
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
READ = "SmartMeterMeterReadingDocumentERPCreateRequest"
READ_ALL = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
TO_BE_READ = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
ALL_TO_BE_READ = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation"
SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"
SWITCHED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation"
CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"
NOTE = "Log/Item/Note"
DEVICE = "000000000000000042"
NEIGHBOUR = "000000000000000043"


def read(document: str, *, device: str = DEVICE, source: str, on: str = "2026-03-28") -> str:
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>01</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        f"<UtilitiesAdvancedMeteringDataSourceTypeCode>{source}</UtilitiesAdvancedMeteringDataSourceTypeCode>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{device}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device}</UtilitiesDeviceID><SmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtiltiesDevice>"
        f"</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def switch(category: str, *, planned_at: datetime = START, number: str = "4711") -> str:
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        f"<PlannedProcessingDateTime>{planned_at:%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
        f"<DeviceConnectionStatus><UtilitiesDeviceID>{DEVICE}</UtilitiesDeviceID><SmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
        f"</DeviceConnectionStatus></UtilitiesConnectionStatusChangeRequest>"
    )


class Sides(BothSides):
    """The two sides, and a folder of settings that may change while MDUS is down."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder, now=START)
        self._folder = folder

    def restart(self, *denied: str) -> None:
        """Start anew with a table that denies this to LX100 at AM01."""
        row = "".join(f"{capability} = false\n" for capability in denied)
        (self._folder / "capabilities.toml").write_text(
            f'[[capabilities]]\nname = "old"\nams_id = "AM01"\nmaterial_id = "LX*"\n{row}'
        )
        self.database.settings = load_settings({"MDUS_CONFIG": str(self._folder)})

    def restart_with_files(self, options: str) -> None:
        """Start anew with a head end of files in the place of the one there was."""
        (self._folder / "head_ends.toml").write_text(
            f'[[head_ends]]\nname = "city"\nkind = "file_drop"\nams_ids = ["AM01"]\n[head_ends.options]\n{options}\n'
        )
        examined = examine({"MDUS_CONFIG": str(self._folder)})
        assert examined.settings is not None
        self.database.settings = examined.settings


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[Sides]:
    made = Sides(database_url, tmp_path)
    for device_id in (DEVICE, NEIGHBOUR):
        made.meter(device_id)
    yield made
    made.close()


def refused(sides: Sides, root: str) -> str:
    """Return why SAP was told that nothing is done."""
    [confirmation] = sides.sap.messages(root)
    assert texts(confirmation, CODE) == ["5"]
    assert texts(confirmation, TYPE_ID) == ["150(MDUS)"]
    [note] = texts(confirmation, NOTE)
    return note


class TestAReading:
    def test_on_demand_is_refused_at_once(self, sides: Sides) -> None:
        sides.restart("on_demand_reading")
        sides.tell(READ, read("1", source="1"))
        sides.rest()

        assert refused(sides, TO_BE_READ) == (
            "The device cannot be read on demand: its model LX100 lacks that at AM01 (capabilities.old)"
        )
        assert sides.all(MeterReadingDocument) == []
        assert sides.head_end.submitted == []

    def test_of_stored_values_is_taken_from_a_device_that_cannot_be_asked(self, sides: Sides) -> None:
        sides.restart("on_demand_reading")
        sides.tell(READ, read("1", source="0"))
        sides.rest()

        [confirmation] = sides.sap.messages(TO_BE_READ)
        assert texts(confirmation, CODE) == ["3"]

    def test_on_demand_is_refused_where_its_head_end_only_leaves_files(self, sides: Sides) -> None:
        sides.restart_with_files('folder = "/srv/drop"')
        sides.tell(READ, read("1", source="1"))
        sides.rest()

        note = "The device cannot be read on demand: its head end city does not offer that"
        assert refused(sides, TO_BE_READ) == note
        assert sides.all(MeterReadingDocument) == []
        assert sides.all(Command) == []

    @pytest.mark.parametrize(
        ("options", "source"),
        [
            pytest.param("", "0", id="stored values, which it leaves unasked"),
            pytest.param('request_folder = "/srv/ask"', "1", id="on demand, by a file"),
        ],
    )
    def test_is_taken_where_its_head_end_of_files_can_have_it(self, sides: Sides, options: str, source: str) -> None:
        sides.restart_with_files(f'folder = "/srv/drop"\n{options}')
        sides.tell(READ, read("1", source=source))
        sides.rest()

        [confirmation] = sides.sap.messages(TO_BE_READ)
        assert texts(confirmation, CODE) == ["3"]

    @pytest.mark.parametrize("source", ["0", "1"], ids=["stored", "on demand"])
    def test_of_any_kind_is_refused_where_nothing_can_be_read(self, sides: Sides, source: str) -> None:
        sides.restart("remote_reading")
        sides.tell(READ, read("1", source=source))
        sides.rest()

        assert "(capabilities.old)" in refused(sides, TO_BE_READ)

    def test_refused_in_a_bulk_costs_its_neighbours_nothing(self, sides: Sides) -> None:
        sides.restart("on_demand_reading")
        sides.tell(READ_ALL, read("1", source="1"), read("2", source="0"), read("3", device=NEIGHBOUR, source="0"))
        sides.rest()

        [confirmation] = sides.sap.messages(ALL_TO_BE_READ)
        assert texts(confirmation, CODE) == ["4"]
        items = f"{TO_BE_READ}Message"
        assert texts(confirmation, f"{items}/{CODE}") == ["5", "3", "3"]
        assert texts(confirmation, f"{items}/{TYPE_ID}") == ["150(MDUS)"]
        assert [document.document_id for document in sides.all(MeterReadingDocument)] == ["2", "3"]

    def test_that_turned_out_impossible_fails_aloud_on_its_day(self, sides: Sides) -> None:
        sides.tell(READ, read("1", source="1", on="2026-03-30"))
        sides.rest()
        sides.restart("on_demand_reading")
        sides.clock.instant = datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
        sides.rest()

        [document] = sides.all(MeterReadingDocument)
        assert document.status is DocumentStatus.FAILED
        assert "NOT_CAPABLE" in document.note
        [case] = sides.all(ExceptionCase)
        assert case.kind == "reading_missing"
        assert len(sides.all(EndDeviceEvent)) == 1
        assert sides.head_end.submitted == []


class TestASwitch:
    @pytest.mark.parametrize(
        ("category", "capability", "done"),
        [("1", "disconnect", "disconnected remotely"), ("2", "reconnect", "reconnected remotely")],
    )
    def test_is_refused_at_once(self, sides: Sides, category: str, capability: str, done: str) -> None:
        sides.restart(capability)
        sides.tell(SWITCH, switch(category, planned_at=START + timedelta(days=2)))
        sides.rest()

        assert f"cannot be {done}" in refused(sides, SWITCHED)
        assert sides.all(Command) == []

    @pytest.mark.parametrize(("category", "capability"), [("1", "reconnect"), ("2", "disconnect")])
    def test_the_other_way_is_not(self, sides: Sides, category: str, capability: str) -> None:
        sides.restart(capability)
        sides.tell(SWITCH, switch(category))
        sides.rest()

        assert len(sides.submitted(CommandKind.SWITCH)) == 1

    def test_that_turned_out_impossible_is_refused_when_it_would_leave(self, sides: Sides) -> None:
        sides.tell(SWITCH, switch("1", planned_at=START + timedelta(hours=5)))
        sides.rest()
        sides.restart("disconnect")
        sides.clock.move(hours=5)
        sides.rest()

        assert "cannot be disconnected remotely" in refused(sides, SWITCHED)
        [command] = sides.switches()
        assert (command.status, command.result_code) == (CommandStatus.FAILED, "NOT_CAPABLE")
        assert sides.head_end.submitted == []

    def test_that_left_before_is_read_back_all_the_same(self, sides: Sides) -> None:
        sides.tell(SWITCH, switch("1"))
        sides.rest()
        sides.restart("disconnect", "reconnect", "remote_reading")
        sides.clock.move(seconds=20)
        sides.answer(CommandKind.SWITCH, switch_state="disconnected", switched_at=sides.clock.now().isoformat())
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state="disconnected", switched_at=None)
        sides.rest()

        [confirmation] = sides.sap.messages(SWITCHED)
        assert texts(confirmation, CODE) == ["3"]
