"""A file is imported: taken in like SAP's messages, decided by the same services, told of in a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.importing import Imported, import_file
from mdus.bootstrap.working import only_worker
from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.storage.message import ITEM, MESSAGE
from tests.flows import registry
from tests.flows.both_sides import SENDER, BothSides, texts

DEVICE, OTHER = "000000000000000042", "000000000000000043"
HEADER = (
    "kind,device_id,ams_id,valid_from,valid_to,serial_id,material_id,measurement_task_id,obis_text,unit,total_digits,"
    "fraction_digits,installation_point_id,parent_installation_point_id,point_of_delivery_id"
)


def device(device_id: str = DEVICE, *, serial: str | None = None, since: str = "2026-01-01") -> str:
    return f"device,{device_id},AM01,{since},,{serial or f'S{device_id}'},LX100,,,,,,,,"


def register(device_id: str = DEVICE, *, task: str | None = None, obis: str = "1-0:1.8.0", unit: str = "KWH") -> str:
    return f"register,{device_id},AM01,2026-01-01,,,,{task or device_id},{obis},{unit},8,2,,,"


def location(device_id: str = DEVICE, *, at: str | None = None, since: str = "2026-01-01", to: str = "") -> str:
    return f"location,{device_id},AM01,{since},{to},,,,,,,,{at or f'IP{device_id}'},CO1,"


def point(device_id: str = DEVICE) -> str:
    return f"point_of_delivery,{device_id},AM01,2026-01-01,,,,{device_id},,,,,,,DE{device_id}"


class Desk:
    """Where somebody imports files into an installation with a SAP and a head end beside it."""

    def __init__(self, url: str, folder: Path) -> None:
        # Commands of an import may leave from the real present on.
        self.sides = BothSides(url, folder, now=datetime.now(UTC) + timedelta(minutes=1))
        self._environ = {"MDUS_CONFIG": str(folder), "MDUS_DATABASE__URL": url}
        self.file, self.report = folder / "meters.csv", folder / "report.csv"
        self.stages: list[tuple[str, int, int]] = []

    def load(self, *rows: str, dry_run: bool = False, system: str = SENDER) -> Imported:
        self.file.write_text("\n".join((HEADER, *rows)))
        return self.load_file(dry_run=dry_run, system=system)

    def load_file(self, **options: Any) -> Imported:
        given = {"system": SENDER, "kind": None, "dry_run": False, "report": self.report, **options}
        note = lambda *told: self.stages.append(told)  # noqa: E731
        return import_file(self._environ, self.file, progress=note, **given)

    def findings(self) -> list[dict[str, str]]:
        with self.report.open(newline="") as report:
            return list(csv.DictReader(report))

    def found(self) -> list[tuple[str, str]]:
        """Row and column of every finding."""
        return [(finding["row"], finding["field"]) for finding in self.findings()]

    def state(self) -> dict[str, Any]:
        return registry.registry(self.sides.database)


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(database_url, tmp_path)
    yield made
    made.sides.close()


@pytest.fixture
def desk_on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(sqlite_url, tmp_path)
    yield made
    made.sides.close()


class OnSqlite:
    """What does not depend on the database is tried on one."""

    @pytest.fixture
    def desk(self, desk_on_sqlite: Desk) -> Desk:
        return desk_on_sqlite


class TestAFile:
    def test_leaves_the_registry_that_the_messages_of_sap_leave(self, desk: Desk) -> None:
        imported = desk.load(point(), location(), register(), device())  # in whatever order
        assert (imported.rows, imported.wrong, desk.findings()) == (4, 0, [])
        by_file = desk.state()

        for root, body in (
            (registry.DEVICE, registry.device(DEVICE)),
            (registry.REGISTER, registry.register(DEVICE)),
            (registry.LOCATION, registry.location(DEVICE)),
            (registry.POINT, registry.point_of_delivery(DEVICE)),
        ):
            desk.sides.tell(root, body)
        desk.sides.decide()

        assert desk.state() == by_file
        assert [name for name, found in by_file.items() if not found] == ["LogicalLocation"]

    def test_becomes_messages_that_are_marked_and_name_their_rows(self, desk: Desk) -> None:
        desk.load(device(), device(OTHER), register(), register(OTHER))

        messages = desk.sides.mdus.rows(MESSAGE)
        assert [(row.root, row.sender_system, row.imported, row.status.value) for row in messages] == [
            (registry.DEVICES, SENDER, True, "completed"),
            (registry.REGISTERS, SENDER, True, "completed"),
        ]
        items = desk.sides.mdus.rows(ITEM)
        assert [(row.header_id, row.silent) for row in items] == [(str(row), True) for row in (2, 3, 4, 5)]

    def test_is_not_answered_but_its_meters_are_served_and_registered(self, desk: Desk) -> None:
        desk.load(device(), register())
        desk.sides.rest()
        assert desk.sides.sap.received == []
        assert [one["device_id"] for one in desk.sides.submitted(CommandKind.PROVISION)] == [DEVICE]

        heard = {"serial": f"S{DEVICE}", "first": True, "at": desk.sides.clock.now().isoformat()}
        desk.sides.push("heard", {"delivery_id": "h-1", "meters": [heard]})
        desk.sides.rest()

        (told,) = desk.sides.sap.received
        assert texts(told, f"{registry.REGISTERED}Message/UtilitiesDevice/ID") == [DEVICE]

    def test_is_shown_as_imported_by_rest(self, desk: Desk) -> None:
        desk.load(device())
        (message,) = desk.sides.mdus.get("/api/v1/messages").json()["items"]
        assert message["imported"] is True
        assert desk.sides.mdus.get("/api/v1/devices").json()["items"][0]["device_id"] == DEVICE

    def test_again_changes_nothing(self, desk: Desk) -> None:
        rows = (device(), register(), location(), point())
        desk.load(*rows)
        before = desk.state()
        desk.sides.clock.move(days=1)
        assert desk.load(*rows).wrong == 0
        assert desk.state() == before

    def test_of_one_kind_needs_no_column_for_it(self, desk: Desk) -> None:
        desk.file.write_text("device_id;serial_id;material_id;valid_from\r\n007;S7;LX100;2026-01-01\r\n")
        assert desk.load_file(kind="device").wrong == 0
        assert [one.device_id for one in desk.sides.all(EndDevice)] == ["007"]

    def test_in_json_is_imported_too(self, desk: Desk) -> None:
        row = {"kind": "device", "device_id": DEVICE, "serial_id": "S1", "material_id": "L", "valid_from": "2026-01-01"}
        desk.file.write_text(json.dumps([row]))
        assert desk.load_file().wrong == 0
        assert [one.serial_id for one in desk.sides.all(EndDevice)] == ["S1"]

    def test_is_large_and_tells_how_far_it_is(self, desk_on_sqlite: Desk) -> None:
        meters = [f"{number:018d}" for number in range(1, 1202)]
        imported = desk_on_sqlite.load(*map(device, meters))
        assert imported.kinds["device"].rows == 1201
        assert [row.item_count for row in desk_on_sqlite.sides.mdus.rows(MESSAGE)] == [1000, 201]
        read = [told for told in desk_on_sqlite.stages if told[0] == "reading"]
        decided = [done for stage, done, total in desk_on_sqlite.stages if stage == "device" and total == 1201]
        assert read[-1][1] == read[-1][2] == desk_on_sqlite.file.stat().st_size
        assert decided == sorted(decided)
        assert decided[-1] == 1201


class TestAWrongRow(OnSqlite):
    def test_stops_no_good_one(self, desk: Desk) -> None:
        imported = desk.load(device(since="1.1.2026"), device(OTHER), '"', "toaster,1,,,,,,,,,,,,,", register(OTHER))
        assert [one.device_id for one in desk.sides.all(EndDevice)] == [OTHER]
        assert len(desk.sides.all(Register)) == 1
        assert desk.found() == [("2", "valid_from"), ("4", ""), ("5", "kind")]
        assert {name: (one.rows, one.wrong) for name, one in imported.kinds.items()} == {
            "device": (2, 1),
            "": (2, 2),
            "register": (1, 0),
        }

    def test_is_told_with_what_was_expected_and_how_to_mend_it(self, desk: Desk) -> None:
        desk.load(device(since="1.1.2026"))
        assert desk.findings() == [
            {
                "row": "2",
                "kind": "device",
                "field": "valid_from",
                "expected": "a date (YYYY-MM-DD)",
                "found": "'1.1.2026'",
                "mend": "write a date (YYYY-MM-DD)",
            }
        ]

    def test_is_told_in_json_where_the_report_is_named_so(self, desk: Desk) -> None:
        desk.report = desk.report.with_suffix(".json")
        desk.load(device(since="1.1.2026"), device(OTHER, since="2.1.2026"))
        assert [(one["row"], one["field"]) for one in json.loads(desk.report.read_text())] == [
            (2, "valid_from"),
            (3, "valid_from"),
        ]
        desk.load(device())
        assert json.loads(desk.report.read_text()) == []

    def test_of_a_device_the_services_refuse_is_told_by_the_column_behind_it(self, desk: Desk) -> None:
        desk.load(device(), device(OTHER, serial=f"S{DEVICE}"), register("7"), register(OTHER, obis="POTATOES"))
        assert desk.found() == [("3", "serial_id"), ("4", "device_id"), ("5", "device_id")]
        first, second, _ = desk.findings()
        assert first["found"] == f"'S{DEVICE}': The serial number already belongs to device {DEVICE} 101(MDUS)"
        assert second["found"].endswith("110(MDUS)")

    def test_that_sap_would_not_be_told_of_either_opens_no_case_and_no_event(self, desk: Desk) -> None:
        desk.load(location(), point())
        assert desk.found() == [("2", "device_id"), ("3", "measurement_task_id")]
        assert desk.sides.all(ExceptionCase) == []
        assert desk.sides.all(EndDeviceEvent) == []
        assert [row.status.value for row in desk.sides.mdus.rows(ITEM)] == ["closed", "closed"]

    def test_of_a_register_holds_back_the_registers_of_its_device(self, desk: Desk) -> None:
        desk.load(device(), register(task="1"), register(task="2", obis="POTATOES"), register(task="3", unit="KVARH"))
        assert desk.sides.all(Register) == []
        assert desk.found() == [("3", ""), ("4", ""), ("5", "unit")]
        assert desk.findings()[0]["expected"] == "row 5 to be right, for they are taken together"

    def test_of_a_register_that_is_refused_is_named_among_its_neighbours(self, desk: Desk) -> None:
        desk.load(device(), register(task="1"), register(task="2", obis="POTATOES"))
        assert desk.sides.all(Register) == []
        assert desk.found() == [("3", ""), ("4", "obis_text")]
        assert "'POTATOES'" in desk.findings()[1]["found"]

    def test_that_disagrees_with_its_neighbours_holds_them_back(self, desk: Desk) -> None:
        moved = location(at="IP2", since="2026-03-01").replace("AM01", "AM02")
        desk.load(device(), location(to="2026-03-01"), moved)
        assert desk.sides.all(DeviceLocation) == []
        assert desk.found() == [("3", "ams_id"), ("4", "")]

    def test_that_says_what_another_row_says_is_left_out(self, desk: Desk) -> None:
        desk.load(device(), device(serial="OTHER"))
        assert [one.serial_id for one in desk.sides.all(EndDevice)] == [f"S{DEVICE}"]
        assert desk.found() == [("3", "device_id")]
        assert desk.findings()[0]["found"] == "row 2"


class TestACorrectedFile(OnSqlite):
    def test_repairs_what_was_refused(self, desk: Desk) -> None:
        desk.load(device(since="1.1.2026"), register(), location(), point())
        assert [row for row, _ in desk.found()] == ["2", "3", "4", "5"]
        assert desk.load(device(), register(), location(), point()).wrong == 0
        assert [name for name, found in desk.state().items() if not found] == ["LogicalLocation"]

    def test_repairs_where_a_device_is_and_was(self, desk: Desk) -> None:
        desk.load(device(), register(), location(at="WRONG", since="2026-02-01"), point())
        desk.load(device(), location(at="IP1", to="2026-03-01"), location(at="IP2", since="2026-03-01"))
        spans = [
            (one.installation_point_id, one.valid_from.day, one.valid_to) for one in desk.sides.all(DeviceLocation)
        ]
        assert [point for point, *_ in spans] == ["IP1", "IP2"]
        assert len(desk.sides.all(UsagePoint)) == 1  # of what the file does not list nothing changes

    def test_repairs_the_dates_of_a_device(self, desk: Desk) -> None:
        desk.load(device(since="2026-02-01"))
        desk.load(device())
        assert [one.valid_from.isoformat() for one in desk.sides.all(EndDevice)] == ["2026-01-01"]


class TestADryRun(OnSqlite):
    def test_tells_what_is_wrong_and_touches_nothing(self, desk: Desk) -> None:
        rows = (device(since="1.1.2026"), device(OTHER), register(OTHER, unit="KVARH"), register(OTHER, task="1"))
        imported = desk.load(*rows, dry_run=True)
        assert (imported.rows, imported.wrong) == (4, 3)
        assert desk.found() == [("2", "valid_from"), ("4", "unit"), ("5", "")]
        assert desk.sides.mdus.rows(MESSAGE) == []

    def test_needs_no_database(self, tmp_path: Path) -> None:
        file, absent = tmp_path / "meters.csv", tmp_path / "absent.db"
        file.write_text(f"{HEADER}\n{device()}\n")
        environ = {"MDUS_DATABASE__URL": f"sqlite:///{absent}"}
        imported = import_file(
            environ, file, system="P11", kind=None, dry_run=True, report=tmp_path / "r.csv", progress=lambda *_: None
        )
        assert imported.wrong == 0
        assert not absent.exists()

    def test_sees_rows_that_disagree(self, desk_on_sqlite: Desk) -> None:
        moved = location(at="IP2", since="2026-03-01").replace("AM01", "AM02")
        desk_on_sqlite.load(location(to="2026-03-01"), moved, dry_run=True)
        assert desk_on_sqlite.found() == [("2", "ams_id"), ("3", "")]


class TestNothing:
    """Of a file that cannot be used, or an order that makes no sense, nothing is stored."""

    @pytest.mark.parametrize(
        ("content", "options", "what"),
        [
            pytest.param("device_id\n1\n", {}, "no column 'kind'", id="rows of no kind"),
            pytest.param("device_id\n1\n", {"kind": "device"}, "no column 'valid_from'", id="a column missing"),
            pytest.param(f"{HEADER}\n", {}, "no rows", id="no rows"),
            pytest.param("[]", {}, "no rows", id="an empty array"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False], ids=["dry", "wet"])
    def test_is_stored_of(
        self, desk_on_sqlite: Desk, content: str, options: dict[str, str], what: str, dry_run: bool
    ) -> None:
        desk_on_sqlite.file.write_text(content)
        with pytest.raises(CannotStart, match=what):
            desk_on_sqlite.load_file(dry_run=dry_run, **options)
        assert desk_on_sqlite.sides.mdus.rows(MESSAGE) == []

    def test_is_stored_when_the_report_would_replace_the_file(self, desk_on_sqlite: Desk) -> None:
        desk_on_sqlite.report = desk_on_sqlite.file
        with pytest.raises(CannotStart, match="replace the file"):
            desk_on_sqlite.load(device())
        assert device() in desk_on_sqlite.file.read_text()

    def test_is_stored_when_no_message_may_be_as_large(self, desk_on_sqlite: Desk, tmp_path: Path) -> None:
        (tmp_path / "http.toml").write_text("[http]\nmax_body_bytes = 100\nsmall_message_bytes = 100\n")
        with pytest.raises(CannotStart, match="more than 100 bytes"):
            desk_on_sqlite.load(device())
        assert desk_on_sqlite.sides.mdus.rows(MESSAGE) == []

    def test_is_stored_when_the_report_cannot_be_written(self, desk_on_sqlite: Desk, tmp_path: Path) -> None:
        desk_on_sqlite.report = tmp_path / "absent" / "report.csv"
        with pytest.raises(CannotStart, match="cannot be written"):
            desk_on_sqlite.load(device())
        assert desk_on_sqlite.sides.mdus.rows(MESSAGE) == []

    def test_is_stored_for_a_system_nobody_speaks_for(self, desk_on_sqlite: Desk, tmp_path: Path) -> None:
        (tmp_path / "senders.toml").write_text(
            '[[senders]]\nname = "prod"\nuser = "sap"\npassword = "secret"\nsystems = ["P11"]\ndefault_system = "P11"\n'
        )
        with pytest.raises(CannotStart, match="no sender speaks for the system 'Q11'"):
            desk_on_sqlite.load(device(), system="Q11")
        assert desk_on_sqlite.load(device(), system="P11").wrong == 0


class TestTheWorker:
    def test_of_a_running_installation_decides_in_place_of_the_import(
        self, desk_on_sqlite: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = []

        def look(_: float) -> None:
            turns.append(desk_on_sqlite.sides.inbox.turn())

        monkeypatch.setattr("mdus.bootstrap.importing.time.sleep", look)
        with only_worker(desk_on_sqlite.sides.database):
            assert desk_on_sqlite.load(device(), register()).wrong == 0
        assert sum(turns) == 2

    def test_that_decides_nothing_is_not_waited_for_without_end(
        self, desk_on_sqlite: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mdus.bootstrap.importing._PATIENCE_SECONDS", 0.3)
        monkeypatch.setattr("mdus.endpoints.initial_load.load._AT_ONCE", 1)
        with only_worker(desk_on_sqlite.sides.database):
            desk_on_sqlite.load(*(device(str(number)) for number in range(20)))
        looks = [told for told in desk_on_sqlite.stages if told[0] == "device"]
        assert 0 < len(looks) < 5  # at the first of twenty messages, and at no other
        assert len(desk_on_sqlite.findings()) == 20
        assert "mdus serve" in desk_on_sqlite.findings()[0]["found"]

    def test_that_meets_a_defect_of_ours_goes_on_with_the_others(
        self, desk_on_sqlite: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mdus.services import device_create

        served_by = device_create.Policy.served_by

        def fail(policy: Any, ams_id: str | None) -> tuple[str, str]:
            if ams_id == "AM66":
                raise ZeroDivisionError("a defect")
            return served_by(policy, ams_id)

        monkeypatch.setattr(device_create.Policy, "served_by", fail)
        desk_on_sqlite.load(device().replace("AM01", "AM66"), device(OTHER))
        assert [one.device_id for one in desk_on_sqlite.sides.all(EndDevice)] == [OTHER]
        (finding,) = desk_on_sqlite.findings()
        assert (finding["row"], finding["found"]) == ("2", "ZeroDivisionError: a defect")
