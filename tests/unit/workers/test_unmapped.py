"""What no table explains is kept with its delivery, counted and shown, and read again once a row explains it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from mdus.bootstrap import mending
from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel_map import ChannelMap
from mdus.domain.channel_name import CmepName
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.event_map import EventMap, event_code
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import FieldAlarm, FieldEvent, FieldReading, RawDelivery, Unmapped
from mdus.domain.mapping_version import MappingVersion
from mdus.domain.reading import MeterReading
from mdus.domain.unmapped import UnmappedSource
from mdus.messaging.retry import RetryPolicy
from mdus.settings import load_settings
from mdus.storage import delivery, retention, unmapped
from mdus.storage.audit import AUDIT, Deed
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.paging import Page
from mdus.storage.session import Database
from mdus.storage.unmapped import MAPPING_VERSION, UNMAPPED_VALUE, WhichCodes
from mdus.telemetry.metrics import UNMAPPED
from mdus.workers.readings import ReadingsWorker
from mdus.workers.retention import run as forget
from tests.head_ends.field import StandingClock

AT = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)
SERIAL = "0000001234"
ALL = WhichCodes()
DEED = Deed(who="operator", reason="a row was added")
HEAD_ENDS = {
    "MDUS_HEAD_ENDS__NORTH__KIND": "rest",
    "MDUS_HEAD_ENDS__NORTH__URL": "https://north.example.com",
    "MDUS_HEAD_ENDS__SOUTH__KIND": "rest",
    "MDUS_HEAD_ENDS__SOUTH__URL": "https://south.example.com",
}

CHANNEL = """
[[channels]]
name = "pulses"
obis = "1-0:1.8.0"
kind = "register"
unit = "kWh"
head_end = "north"
cmep = [{ commodity = "E", unit = "PULSE", factor = "0.001" }]
"""
EVENT = """
[[field_events]]
name = "door"
event = "3.12.29.39"
head_end = "north"
codes = { exception = ["4711"] }
"""


class Site:
    """Two head ends that tell CMEP's names and exceptions as JSON, and what MDUS keeps of it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder, self.clock = folder, StandingClock()
        self.environ = {**HEAD_ENDS, "MDUS_CONFIG": str(folder)}
        self.url = url
        self.database, self.worker = self._start()

    def _start(self) -> tuple[Database, ReadingsWorker]:
        settings = load_settings(self.environ, tables=SHARED_TABLES)
        database = Database(self.url, settings=settings)
        maps = {
            row.name: (ChannelMap.of(settings, head_end=row), EventMap.of(settings, head_end=row))
            for row in settings.head_ends
        }

        def decoder(channels: ChannelMap, events: EventMap) -> Callable[[RawDelivery], Iterator[FieldEvent]]:
            return lambda raw: (_event(each, channels, events) for each in json.loads(raw.body))

        worker = ReadingsWorker(
            database=database,
            clock=self.clock,
            decoders={name: decoder(*both) for name, both in maps.items()},
            retry=RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3),
        )
        return database, worker

    def configure(self, text: str) -> None:
        """Start anew with tables of an installation."""
        self.database.close()
        (self.folder / "tables.toml").write_text(text)
        self.database, self.worker = self._start()

    def device(self, serial: str = SERIAL) -> None:
        made = EndDevice(
            sender_system="SAP",
            device_id=f"D{serial}",
            serial_id=serial,
            material_id="LX100",
            valid_from=date(2026, 1, 1),
            ams_id="AEML",
            head_end="north",
        )
        with self.database.begin() as uow:
            uow.save([made, EndDeviceStatus(sender_system="SAP", device_id=made.device_id)])

    def tell(self, *told: dict[str, Any], head_end: str = "north", name: str = "") -> None:
        """Store a delivery, and take it in."""
        body = json.dumps(told).encode()
        with self.database.begin() as uow:
            packed = delivery.pack(RawDelivery(topic="told", correlation=name, body=body))
            delivery.store(uow.connection, [packed], head_end=head_end, now=self.clock.now())
        self.take_in()

    def take_in(self) -> None:
        assert self.worker.turn() > 0

    def kept(self) -> list[tuple[Any, ...]]:
        columns = (
            UNMAPPED_VALUE.c[name] for name in ("head_end", "source", "code", "serial_id", "at", "value", "unit")
        )
        with self.database.read() as uow:
            return [tuple(row) for row in uow.connection.execute(select(*columns).order_by(UNMAPPED_VALUE.c.id))]

    def cases(self) -> dict[str, str]:
        """Return the open cases, by kind and key."""
        with self.database.read() as uow:
            found = uow.load(ExceptionCase, ("kind",), {(each.case_kind,) for each in UnmappedSource}, lock=False)
        return {f"{case.kind} {case.case_key}": case.note for case in found if case.closed_at is None}

    def deliveries(self) -> list[tuple[str, str | None]]:
        with self.database.read() as uow:
            query = select(HEAD_END_DELIVERY.c.status, HEAD_END_DELIVERY.c.read_by).order_by(HEAD_END_DELIVERY.c.id)
            return [tuple(row) for row in uow.connection.execute(query)]

    def values(self) -> list[Decimal]:
        with self.database.read() as uow:
            found = uow.load(MeterReading, ("sender_system",), {("SAP",)}, lock=False)
        return sorted(each.value for each in found)


def _event(told: dict[str, Any], channels: ChannelMap, events: EventMap) -> FieldEvent:
    at = datetime.fromisoformat(told.get("at", AT.isoformat()))
    if "exception" in told:
        event_type = events.find("exception", told["exception"], at=at)
        if event_type is not None:
            return FieldAlarm(serial_id=told["serial"], event_type=event_type, at=at, source_id=None, text=None)
        code = event_code("exception", told["exception"])
        return Unmapped(serial_id=told["serial"], source="event", code=code, at=at, text=told.get("text"))
    name = CmepName(commodity="E", unit=told["unit"])
    mapped = channels.find(name, at=at)
    if mapped is None:
        value = told["value"]
        return Unmapped(
            serial_id=told["serial"], source="channel", code=str(name), at=at, value=value, unit=told["unit"]
        )
    return FieldReading(
        serial_id=told["serial"],
        reading_type=mapped.reading_type,
        measured_at=at,
        value=mapped.value(Decimal(told["value"])),
        unit=mapped.unit,
    )


def value(number: str, *, unit: str = "PULSE", serial: str = SERIAL, **more: str) -> dict[str, Any]:
    return {"serial": serial, "unit": unit, "value": number, **more}


def exception(number: str, *, serial: str = SERIAL, **more: str) -> dict[str, Any]:
    return {"serial": serial, "exception": number, **more}


def counted(source: str, head_end: str = "north") -> float:
    return UNMAPPED.labels(head_end, source)._value.get()


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(database_url, tmp_path)
    made.device()
    yield made
    made.database.close()


class TestKept:
    def test_as_it_came_with_a_case_and_counted(self, site: Site) -> None:
        before = counted("channel")
        site.tell(value("0012.50"), value("7", unit="KWHREG"))
        assert site.kept() == [
            ("north", "channel", "cmep: commodity=E, unit=PULSE", SERIAL, AT, "0012.50", "PULSE"),
        ]
        assert site.values() == [7]  # what is explained beside it is taken in
        assert site.deliveries()[0][0] == "done"
        assert counted("channel") == before + 1
        ((name, note),) = site.cases().items()
        assert name == "channel_unmapped north/cmep: commodity=E, unit=PULSE"
        assert 'cmep = [{ commodity = "E", unit = "PULSE" }]' in note

    def test_of_events_and_of_meters_nobody_knows(self, site: Site) -> None:
        before = counted("event")
        site.tell(exception("4711", serial="999"), exception("18001"))
        assert site.kept() == [("north", "event", "exception: 4711", "999", AT, None, None)]
        assert list(site.cases()) == ["event_unmapped north/exception: 4711"]
        assert counted("event") == before + 1
        with site.database.read() as uow:
            events = uow.load(EndDeviceEvent, ("sender_system",), {("SAP",)}, lock=False)
        assert [each.event_type for each in events] == ["3.26.0.85"]

    def test_once_however_often_it_is_told(self, site: Site) -> None:
        before = counted("channel")
        site.tell(value("1"), value("1"), name="first")
        site.tell(value("1"), name="second")
        assert len(site.kept()) == 1
        assert counted("channel") == before + 1
        site.tell(value("2"), value("1", serial="4"), value("1", at="2026-03-27T11:00:00+00:00"), name="third")
        assert len(site.kept()) == 4
        site.tell(value("1"), head_end="south")
        assert len(site.kept()) == 5

    def test_with_one_case_per_head_end_and_code(self, site: Site) -> None:
        site.tell(value("1"), value("2"), value("1", unit="$"), exception("4711"))
        site.tell(value("1"), head_end="south")
        assert sorted(site.cases()) == [
            "channel_unmapped north/cmep: commodity=E, unit=$",
            "channel_unmapped north/cmep: commodity=E, unit=PULSE",
            "channel_unmapped south/cmep: commodity=E, unit=PULSE",
            "event_unmapped north/exception: 4711",
        ]

    def test_whatever_a_head_end_writes(self, site: Site) -> None:
        site.tell(value("1" * 5000, unit="\0\ud800 " + "x" * 5000), exception("7", text="\0"))
        (channel, event) = site.kept()
        assert channel[2].startswith("cmep: commodity=E, unit=?? xxx")
        assert (len(channel[2]), len(channel[5])) == (400, 1000)
        assert event[2] == "exception: 7"

    def test_of_a_source_nobody_knows_as_a_channel(self, site: Site) -> None:
        site.worker._decoders = {  # type: ignore[assignment]
            "north": lambda _: iter([Unmapped(serial_id=SERIAL, source="smell", code="odd")])
        }
        site.tell({})
        assert site.kept() == [("north", "channel", "odd", SERIAL, None, None, None)]

    def test_when_it_is_taken_in_at_once_too(self, site: Site) -> None:
        raw = RawDelivery(topic="told", correlation="", body=json.dumps([value("1"), exception("4711")]).encode())
        events = site.worker.decoded(raw, head_end="north")
        taken = site.worker.take_at_once(raw, delivery.pack(raw), events, head_end="north")
        assert (taken.is_new, taken.unmapped, taken.values) == (True, 2, 0)
        assert len(site.kept()) == 2
        again = site.worker.take_at_once(raw, delivery.pack(raw), events, head_end="north")
        assert (again.is_new, again.unmapped) == (False, 0)


class TestReadAgain:
    def test_once_a_row_explains_it(self, site: Site) -> None:
        site.tell(value("12500"), value("1", unit="$"), exception("4711"))
        site.configure(CHANNEL + EVENT)
        assert len(site.kept()) == 3  # nothing happens by itself
        assert mending.read_again(site.database, ALL, DEED) == 1
        site.take_in()
        assert site.values() == [Decimal("12.5")]
        assert [row[2] for row in site.kept()] == ["cmep: commodity=E, unit=$"]
        assert list(site.cases()) == ["channel_unmapped north/cmep: commodity=E, unit=$"]
        with site.database.read() as uow:
            [deed] = uow.connection.execute(select(AUDIT.c.who, AUDIT.c.action, AUDIT.c.target, AUDIT.c.count)).all()
        assert tuple(deed) == ("operator", "retry", "unmapped", 1)

    def test_changes_nothing_where_no_row_explains_it(self, site: Site) -> None:
        site.tell(value("1"), exception("4711"))
        kept, cases, before = site.kept(), site.cases(), counted("channel")
        assert mending.read_again(site.database, ALL, DEED) == 1
        site.take_in()
        assert sorted(site.kept()) == sorted(kept)
        assert site.cases() == cases
        assert counted("channel") == before

    def test_leaves_the_case_while_another_delivery_tells_it(self, site: Site) -> None:
        site.tell(value("1", at="2026-12-01T00:00:00+00:00"), name="new")
        site.tell(value("2"), name="old")
        site.configure(CHANNEL + "valid_from = 2026-06-01T00:00:00Z\n")
        mending.read_again(site.database, ALL, DEED)
        site.take_in()
        assert site.values() == [Decimal("0.001")]
        assert [row[5] for row in site.kept()] == ["2"]
        assert len(site.cases()) == 1

    @pytest.mark.parametrize(
        ("which", "count"),
        [
            (WhichCodes(head_end="north"), 2),
            (WhichCodes(head_end="south"), 1),
            (WhichCodes(source=UnmappedSource.EVENT), 1),
            (WhichCodes(code="cmep: commodity=E, unit=PULSE"), 2),
            (WhichCodes(head_end="north", code="cmep: commodity=E, unit=PULSE"), 1),
            (WhichCodes(head_end="south", source=UnmappedSource.EVENT), 0),
        ],
        ids=str,
    )
    def test_only_those_meant(self, site: Site, which: WhichCodes, count: int) -> None:
        site.tell(value("1"))
        site.tell(exception("4711"))
        site.tell(value("1"), head_end="south")
        assert mending.read_again(site.database, which, DEED) == count
        assert [status for status, _ in site.deliveries()].count("ready") == count

    def test_of_a_delivery_that_waits_keeps_what_it_tells(self, site: Site) -> None:
        site.tell(value("1"), value("7", unit="KWHREG", serial="unknown"))
        assert [status for status, _ in site.deliveries()] == ["unmatched"]
        before = counted("channel")
        site.device("unknown")
        site.take_in()
        assert [status for status, _ in site.deliveries()] == ["done"]
        assert len(site.kept()) == 1
        assert counted("channel") == before


class TestLeft:
    def test_is_kept_no_longer_and_kept_anew(self, site: Site) -> None:
        site.tell(value("1"), exception("4711"))
        assert mending.leave_unmapped(site.database, WhichCodes(source=UnmappedSource.CHANNEL), DEED) == 1
        assert [row[1] for row in site.kept()] == ["event"]
        assert list(site.cases()) == ["event_unmapped north/exception: 4711"]
        site.tell(value("2"))
        assert len(site.cases()) == 2


class TestTablesReadBy:
    def test_are_noted_with_each_delivery_and_kept_once(self, site: Site) -> None:
        first = site.database.settings.made(MappingVersion)
        site.tell(value("1"), name="a")
        site.tell(value("7", unit="KWHREG"), name="b")
        site.tell(value("7", unit="KWHREG", serial="unknown"), name="c")
        assert site.deliveries() == [("done", first.name), ("done", first.name), ("unmatched", first.name)]
        site.configure(CHANNEL)
        second = site.database.settings.made(MappingVersion)
        assert second.name != first.name
        site.tell(value("8", unit="KWHREG"), name="d")
        assert site.deliveries()[-1] == ("done", second.name)
        with site.database.read() as uow:
            stored = uow.connection.execute(select(MAPPING_VERSION.c.name, MAPPING_VERSION.c.content)).all()
        assert [row.name for row in stored] == [first.name, second.name]
        assert [each["name"] for each in json.loads(stored[1].content)["channels"]].count("pulses") == 1

    def test_are_the_same_while_their_rows_are(self, site: Site) -> None:
        first = site.database.settings.made(MappingVersion)
        again = load_settings(site.environ | {"MDUS_LOG__LEVEL": "error"}, tables=SHARED_TABLES)
        assert MappingVersion.of(again) == first
        other = load_settings(site.environ | {"MDUS_CHANNELS__KWH_NET__UNIT": "MWh"}, tables=SHARED_TABLES)
        assert MappingVersion.of(other).name != first.name
        vendor = load_settings(site.environ | {"MDUS_HEAD_ENDS__NORTH__VENDOR": "northern"}, tables=SHARED_TABLES)
        assert MappingVersion.of(vendor).name != first.name


class TestShown:
    def test_by_code_with_the_row_to_add(self, site: Site) -> None:
        site.tell(value("1"), value("2"), value("3", serial="4"))
        site.clock.advance(hours=1)
        site.tell(value("4"), exception("4711"))
        channel, event = mending.unmapped_codes(site.database, ALL, limit=10)
        assert (channel["head_end"], channel["code"]) == ("north", "cmep: commodity=E, unit=PULSE")
        assert (channel["count"], channel["meters"]) == (4, 2)
        assert channel["last_at"] - channel["first_at"] == timedelta(hours=1)
        assert channel["row"] == (
            '[[channels]] obis = "?", kind = "?", unit = "?", head_end = "north", '
            'cmep = [{ commodity = "E", unit = "PULSE" }]'
        )
        assert event["row"] == ('[[field_events]] event = "?", head_end = "north", codes = { exception = ["4711"] }')

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({}, ["5", "4", "3", "2", "1"]),
            ({"head_end": "north"}, ["4", "3", "2", "1"]),
            ({"source": UnmappedSource.CHANNEL}, ["5", "4", "3", "2", "1"]),
            ({"source": UnmappedSource.EVENT}, []),
            ({"code": "cmep: commodity=E, unit=$"}, ["3"]),
            ({"head_end": "south", "code": "cmep: commodity=E, unit=PULSE"}, ["5"]),
            ({"serial_id": "4"}, ["4"]),
            ({"serial_id": "4", "head_end": "south"}, []),
        ],
        ids=str,
    )
    def test_value_by_value(self, site: Site, filters: dict[str, Any], found: Sequence[str]) -> None:
        site.tell(value("1"), value("2"), value("3", unit="$"), value("4", serial="4"))
        site.tell(value("5"), head_end="south")
        with site.database.read() as uow:
            rows = unmapped.values(uow.connection, Page(limit=10), **filters)
            assert sorted((row.value for row in rows), reverse=True) == list(found)
            pages, after = [], None
            while page := unmapped.values(uow.connection, Page(limit=2, after=after), **filters):
                pages += [row.id for row in page]
                after = (page[-1].id,)
        assert pages == sorted(pages, reverse=True)
        assert len(pages) == len(found)


class TestRetention:
    def test_keeps_a_delivery_as_long_as_it_tells_what_no_table_explains(self, site: Site) -> None:
        site.tell(value("12500"), name="kept")
        site.tell(value("7", unit="KWHREG", at="2026-03-27T09:00:00+00:00"), name="gone")
        later = site.clock.now() + timedelta(days=1000)

        def forgotten() -> int:
            with site.database.begin() as uow:
                return retention.forget_deliveries(uow.connection, before=later, after=0, limit=10)[0]

        assert forgotten() == 1
        assert forgotten() == 0
        site.configure(CHANNEL)
        assert mending.read_again(site.database, ALL, DEED) == 1
        site.take_in()
        assert site.values() == [7, Decimal("12.5")]
        assert forgotten() == 1

    def test_forgets_it_however_late_it_is_explained(self, site: Site) -> None:
        site.tell(value("12500"))
        now = site.clock.now() + timedelta(days=1000)

        def run(now: datetime, since: datetime | None) -> str:
            told = forget(
                site.database, settings=site.database.settings, services={}, now=now, day=now.date(), since=since
            )
            return next(part for part in told.split(", ") if "deliveries" in part)

        assert run(now, None) == "0 bodies of deliveries"
        site.configure(CHANNEL)
        site.clock.advance(days=1000, minutes=1)
        mending.read_again(site.database, ALL, DEED)
        site.take_in()
        with site.database.begin() as uow:
            uow.connection.execute(update(AUDIT).values(at=site.clock.now()))  # on the clock of the test
        assert run(now + timedelta(days=1), now) == "1 bodies of deliveries"
        assert run(now + timedelta(days=2), now + timedelta(days=1)) == "0 bodies of deliveries"
