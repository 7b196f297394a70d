"""Files of interval values, from bytes to the raw layer, on both databases: the hard cases by their names."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import RawDelivery
from mdus.domain.interval_block import Cause, IntervalBlock
from mdus.domain.local_time import day_start
from mdus.domain.reading import MeterReading
from mdus.headends.file_drop import HEAD_END
from mdus.headends.file_drop.interval_csv import HEADER
from mdus.messaging.retry import RetryPolicy
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from mdus.storage import delivery
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.interval_block import INTERVAL_BLOCK, current_blocks, qualities_of
from mdus.storage.session import TABLES, Database
from mdus.workers.readings import ReadingsWorker, TakenAtOnce
from tests.head_ends.field import StandingClock
from tests.unit.headends.file_drop.cmep_files import file, mepmd01, times

WINTER_ENDS = date(2026, 3, 29)  # 23 hours
WINTER_BEGINS = date(2026, 10, 25)  # 25 hours
ORDINARY = date(2026, 3, 28)
ENVIRON = {
    "MDUS_TIME_ZONE": "Europe/Berlin",
    "MDUS_HEAD_ENDS__FILES__KIND": "file_drop",
    "MDUS_HEAD_ENDS__OTHERS__KIND": "file_drop",
}


class Site:
    """A head end that delivers files, and what of them is in the database."""

    def __init__(self, url: str) -> None:
        self.settings = load_settings(ENVIRON, tables=discover().tables)
        self.database = Database(url, settings=self.settings)
        self.clock = StandingClock()
        decode = HEAD_END.decoder(self.settings, Row(name="files", kind="file_drop", time_zone="Europe/Berlin"))
        self.worker = ReadingsWorker(
            database=self.database,
            clock=self.clock,
            decoders={"files": decode, "others": decode},
            retry=RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3),
        )

    def install(self, serial: str = "0000000042", *, device: str | None = None, head_end: str = "files") -> EndDevice:
        """Store a meter."""
        made = EndDevice(
            sender_system="P11",
            device_id=device or f"DEVICE{serial}",
            serial_id=serial,
            material_id="LX100",
            valid_from=date(2026, 1, 1),
            head_end=head_end,
        )
        with self.database.begin() as uow:
            uow.save([made])
        return made

    def tell(self, body: bytes, *, head_end: str = "files", topic: str = "intervals") -> TakenAtOnce:
        """Let a file come in."""
        raw = RawDelivery(topic=topic, correlation="", body=body)
        events = self.worker.decoded(raw, head_end=head_end)
        return self.worker.take_at_once(raw, delivery.pack(raw), events, head_end=head_end)

    def blocks(self, device: EndDevice, *days: date) -> list[IntervalBlock]:
        """Return the days of all channels of a meter, in the order of their reading types."""
        with self.database.read() as uow:
            channels = uow.load(Channel, EndDevice.KEY, [(device.sender_system, device.device_id)])
            ordered = sorted(channels, key=lambda channel: (channel.reading_type, channel.interval_minutes))
            keys = [(channel, day) for channel in ordered for day in days or (ORDINARY,)]
            found = current_blocks(uow.connection, keys)
        return [found[key] for key in keys if key in found]

    def raw(self) -> list[tuple[object, ...]]:
        """Return all that the raw layer says now, whatever it took to get there."""
        block, channel = INTERVAL_BLOCK, TABLES[Channel].table
        query = (
            select(channel.c.device_id, channel.c.reading_type, channel.c.interval_minutes, block)
            .join(channel, channel.c.id == block.c.channel_id)
            .where(block.c.is_current)
        )
        with self.database.read() as uow:
            rows = uow.connection.execute(query).all()
            marks = {mark for row in rows for mark in np.frombuffer(row.qualities, "<u2").tolist()}
            named = {mark: str(said) for mark, said in qualities_of(uow.connection, marks).items()}
        return sorted(
            (
                *row[:3],
                row.day,
                np.frombuffer(row.values, "<i8").tolist(),
                [named[mark] for mark in np.frombuffer(row.qualities, "<u2").tolist()],
                row.unfit,
            )
            for row in rows
        )

    def empty(self) -> None:
        """Forget all that was told."""
        with self.database.begin() as uow:
            for table in (INTERVAL_BLOCK, TABLES[Channel].table, HEAD_END_DELIVERY):
                uow.connection.execute(delete(table))

    def statuses(self) -> list[str]:
        """Return the states of all deliveries."""
        with self.database.read() as uow:
            return list(uow.connection.scalars(select(HEAD_END_DELIVERY.c.status).order_by(HEAD_END_DELIVERY.c.id)))

    def cases(self) -> list[tuple[str, str]]:
        """Return the kind and note of all cases."""
        with self.database.read() as uow:
            table = TABLES[ExceptionCase]
            return [(each.kind, each.note or "") for each in table.fetch(uow.connection, table.select())]


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    """A head end of kind file_drop on an empty database."""
    found = Site(database_url)
    yield found
    found.database.close()


def midnight(day: date) -> datetime:
    return day_start(day, zone="Europe/Berlin")


def record(day: date, values: Sequence[str], *, first: int = 0, minutes: int = 15, **more: str) -> str:
    """Return a record of a local day from an interval on."""
    ends = times(len(values), first=midnight(day) + (first + 1) * timedelta(minutes=minutes), minutes=minutes)
    interval = f"0000{minutes // 60:02}{minutes % 60:02}" if minutes < 1440 else "00010000"
    return mepmd01(values, ends=ends, interval=interval, **more)


def numbered(count: int) -> list[str]:
    return [f"{number}.125" for number in range(count)]


class TestDays:
    @pytest.mark.parametrize(
        ("day", "quarters"), [(WINTER_ENDS, 92), (ORDINARY, 96), (WINTER_BEGINS, 100)], ids=["92", "96", "100"]
    )
    @pytest.mark.parametrize("minutes", [5, 15, 30, 60])
    def test_of_23_24_and_25_hours_in_every_grid(self, site: Site, day: date, quarters: int, minutes: int) -> None:
        meter = site.install()
        count = quarters * 15 // minutes
        assert site.tell(file(record(day, numbered(count), minutes=minutes))).unplaced == ()
        (block,) = site.blocks(meter, day)
        assert block.quantities() == [Decimal(value) for value in numbered(count)]
        assert block.is_complete

    @pytest.mark.parametrize("day", [WINTER_ENDS, ORDINARY, WINTER_BEGINS], ids=["23", "24", "25"])
    def test_have_one_value_where_values_are_daily(self, site: Site, day: date) -> None:
        meter = site.install()
        end = f"{midnight(day + timedelta(days=1)):%Y%m%d%H%M}"
        assert site.tell(file(mepmd01(["24.5"], ends=[end], interval="00010000"))).unplaced == ()
        (block,) = site.blocks(meter, day)
        assert block.quantities() == [Decimal("24.5")]

    def test_have_one_value_each_where_a_week_is_told_at_once(self, site: Site) -> None:
        meter = site.install()
        days = [WINTER_ENDS + timedelta(days=place) for place in range(-3, 4)]
        ends = [f"{midnight(day + timedelta(days=1)):%Y%m%d%H%M}" for day in days]
        site.tell(file(mepmd01([str(day.day) for day in days], ends=ends, interval="00010000")))
        assert [block.quantities() for block in site.blocks(meter, *days)] == [[Decimal(day.day)] for day in days]

    def test_of_gas_begin_at_midnight_or_have_no_place(self, site: Site) -> None:
        site.install()
        six = f"{midnight(ORDINARY) + timedelta(hours=6):%Y%m%d%H%M}"
        gas_day = mepmd01(["7"], ends=[six], interval="00010000", commodity="G", unit="M3")
        assert "is between two intervals" in site.tell(file(gas_day)).unplaced[0]


class TestWhatComesAgain:
    def test_late_values_fill_the_day(self, site: Site) -> None:
        meter = site.install()
        site.tell(file(record(ORDINARY, ["1", "2"])))
        site.tell(file(record(ORDINARY, ["3"], first=2)))
        (block,) = site.blocks(meter)
        assert block.quantities()[:4] == [1, 2, 3, None]
        assert block.version == 1

    def test_a_revised_value_makes_a_version_and_the_old_one_stays(self, site: Site) -> None:
        meter = site.install()
        site.tell(file(record(ORDINARY, ["1", "2"])))
        site.tell(file(record(ORDINARY, ["9"], first=1, flags="E")))
        (block,) = site.blocks(meter)
        assert (block.version, block.cause, block.quantities()[:2]) == (2, Cause.REVISED, [1, 9])
        with site.database.read() as uow:
            kept = uow.connection.execute(
                select(INTERVAL_BLOCK.c["values"]).where(INTERVAL_BLOCK.c.version == 1)
            ).scalar()
        assert np.frombuffer(kept, "<i8")[:2].tolist() == [1_000_000, 2_000_000]

    def test_a_file_told_twice_has_no_second_effect(self, site: Site) -> None:
        site.install()
        body = file(record(ORDINARY, numbered(96)))
        assert (site.tell(body).is_new, site.tell(body).is_new) == (True, False)
        assert site.statuses() == ["done"]

    def test_duplicate_values_in_another_file_change_nothing(self, site: Site) -> None:
        meter = site.install()
        site.tell(file(record(ORDINARY, numbered(96))))
        before = site.raw()
        site.tell(file(record(ORDINARY, numbered(96)), record(ORDINARY, ["5.125"], first=5)))
        assert site.raw() == before
        assert site.blocks(meter)[0].version == 1

    def test_the_raw_body_stays_as_it_came(self, site: Site) -> None:
        site.install()
        body = file(record(ORDINARY, ["1"]), "garbage")
        site.tell(body)
        with site.database.read() as uow:
            data = uow.connection.execute(select(HEAD_END_DELIVERY.c.data)).scalar_one()
        assert zlib.decompress(data) == body


pieces = st.lists(
    st.tuples(st.sampled_from(["0000000001", "0000000002"]), st.integers(0, 90), st.integers(1, 40)),
    min_size=1,
    max_size=5,
)


class TestOrder:
    @hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(pieces, st.randoms(use_true_random=False))
    def test_of_arrival_does_not_change_what_is_known_in_the_end(
        self, site: Site, some: list[tuple[str, int, int]], chance: Random
    ) -> None:
        """Late, out of order, overlapping and repeated: but for revisions, of which the newest telling counts."""
        for serial in ("0000000001", "0000000002"):
            site.install(serial)
        files = [
            file(record(ORDINARY, [f"{place}.{serial[-1]}" for place in range(first, last)], first=first, meter=serial))
            for serial, first, last in ((serial, first, min(first + count, 96)) for serial, first, count in some)
        ]
        site.empty()
        for body in files:
            site.tell(body)
        expected = site.raw()
        again = [*files, *chance.choices(files, k=2)]
        chance.shuffle(again)
        site.empty()
        for body in again:
            site.tell(body)
        assert site.raw() == expected

    def test_of_the_rows_of_a_file_does_not_matter(self, site: Site) -> None:
        meter = site.install()
        rows = [
            f"0000000042,1-0:1.29.0*255,kWh,15,{midnight(ORDINARY) + place * timedelta(minutes=15):%FT%TZ},{place},"
            for place in range(96)
        ]
        Random(7).shuffle(rows)
        site.tell("\n".join([HEADER, *rows]).encode())
        assert site.blocks(meter)[0].quantities() == list(range(96))


class TestMeters:
    def test_two_registers_that_measure_the_same_are_kept_apart(self, site: Site) -> None:
        meter = site.install()
        rows = [
            f"0000000042,{obis},kWh,15,{midnight(ORDINARY) + place * timedelta(minutes=15):%FT%TZ},{place},"
            for obis, span in (("1-0:1.29.0*255", range(60)), ("1-1:1.29.0*255", range(40, 96)))
            for place in span
        ]
        site.tell("\n".join([HEADER, *rows]).encode())
        first, second = site.blocks(meter)
        assert (first.quantities()[:60], first.quantities()[60:]) == (list(range(60)), [None] * 36)
        assert (second.quantities()[:40], second.quantities()[40:]) == ([None] * 40, list(range(40, 96)))

    def test_exchanged_at_noon_have_half_a_day_each(self, site: Site) -> None:
        old, new = site.install("OLD"), site.install("NEW")
        site.tell(
            file(
                record(ORDINARY, ["1"] * 48, meter="OLD"),
                record(ORDINARY, ["2"] * 48, first=48, meter="NEW"),
            )
        )
        assert site.blocks(old)[0].quantities() == [1] * 48 + [None] * 48
        assert site.blocks(new)[0].quantities() == [None] * 48 + [2] * 48

    def test_of_gas_and_water_are_kept_in_their_units(self, site: Site) -> None:
        gas, water = site.install("GAS"), site.install("WATER")
        site.tell(
            file(
                record(ORDINARY, ["0.25"] * 24, minutes=60, meter="GAS", commodity="G", unit="M3"),
                record(ORDINARY, ["10"], minutes=1440, meter="WATER", commodity="W", unit="GAL"),
            )
        )
        (of_gas,), (of_water,) = site.blocks(gas), site.blocks(water)
        assert (of_gas.channel.unit, of_gas.channel.reading_type, of_gas.quantities()[0]) == (
            "M3",
            "7-0:3.29.0*255",
            Decimal("0.25"),
        )
        assert (of_water.channel.unit, of_water.channel.interval_minutes) == ("GAL", 1440)

    def test_with_one_serial_number_are_told_apart_by_their_head_ends(self, site: Site) -> None:
        ours, theirs = site.install(device="1"), site.install(device="2", head_end="others")
        site.tell(file(record(ORDINARY, ["1"])))
        site.tell(file(record(ORDINARY, ["2"])), head_end="others")
        assert [site.blocks(each)[0].quantities()[0] for each in (ours, theirs)] == [1, 2]

    def test_with_one_serial_number_at_one_head_end_cannot_be(self, site: Site) -> None:
        site.install(device="1")
        with pytest.raises(IntegrityError):
            site.install(device="2")

    def test_not_known_yet_cost_the_others_nothing_and_are_taken_when_they_come(self, site: Site) -> None:
        known = site.install("1")
        taken = site.tell(file(record(ORDINARY, ["1"], meter="1"), record(ORDINARY, ["2"], meter="2")))
        assert taken.unplaced == ("no device with serial number 2",)
        assert site.blocks(known)[0].quantities()[0] == 1
        assert site.statuses() == ["unmatched"]
        late = site.install("2")
        site.worker.turn()
        assert (site.statuses(), site.blocks(late)[0].quantities()[0]) == (["done"], 2)

    def test_tell_registers_beside_intervals(self, site: Site) -> None:
        site.install()
        site.tell(file(mepmd01(["12345.6"], unit="KWHREG"), record(ORDINARY, ["1"])))
        with site.database.read() as uow:
            (reading,) = TABLES[MeterReading].fetch(uow.connection, TABLES[MeterReading].select())
        assert (reading.value, reading.unit) == (Decimal("12345.6"), "kWh")


class TestValues:
    def test_with_too_many_decimals_stay_text(self, site: Site) -> None:
        meter = site.install()
        site.tell(file(record(ORDINARY, ["0.1", "0.1234567", "0.2"])))
        (block,) = site.blocks(meter)
        assert (block.quantities()[:3], block.unfit) == ([Decimal("0.1"), None, Decimal("0.2")], {1: "0.1234567"})

    def test_too_large_stay_text(self, site: Site) -> None:
        meter = site.install()
        site.tell(file(record(ORDINARY, ["123456789012345678", "1"])))
        (block,) = site.blocks(meter)
        assert (block.quantities()[:2], block.unfit) == ([None, 1], {0: "123456789012345678"})


class TestBadLines:
    def test_open_a_case_and_leave_the_delivery_to_be_looked_at(self, site: Site) -> None:
        meter = site.install()
        taken = site.tell(file("garbage", record(ORDINARY, ["1", "x"])))
        assert [each.line for each in taken.unreadable] == [1, 2]
        assert site.blocks(meter)[0].quantities()[:2] == [1, None]
        assert site.statuses() == ["dead"]
        ((kind, note),) = site.cases()
        assert kind == "delivery_lines_unreadable"
        assert "line 1: MEPMD01 or MEPMD02 is expected, found 'garbage'" in note
        assert "line 2: value 2: a number is expected, found 'x'" in note

    def test_open_their_case_at_once_while_others_wait_for_a_meter(self, site: Site) -> None:
        site.tell(file("garbage", record(ORDINARY, ["1"])))
        assert (site.statuses(), [kind for kind, _ in site.cases()]) == (["unmatched"], ["delivery_lines_unreadable"])
        site.install()
        site.worker.turn()
        assert site.statuses() == ["dead"]

    def test_of_a_pushed_file_are_told_alike(self, site: Site) -> None:
        meter = site.install()
        raw = RawDelivery(topic="intervals", correlation="", body=file("garbage", record(ORDINARY, ["1"])))
        with site.database.begin() as uow:
            delivery.store(uow.connection, [delivery.pack(raw)], head_end="files", now=site.clock.now())
        assert site.worker.turn() == 1
        assert (site.statuses(), len(site.cases())) == (["dead"], 1)
        assert site.blocks(meter)[0].quantities()[0] == 1

    def test_of_no_format_leave_the_whole_delivery_unread(self, site: Site) -> None:
        raw = RawDelivery(topic="intervals", correlation="", body=b"<xml/>")
        with site.database.begin() as uow:
            delivery.store(uow.connection, [delivery.pack(raw)], head_end="files", now=site.clock.now())
        site.worker.turn()
        assert (site.statuses(), [kind for kind, _ in site.cases()]) == (["dead"], ["delivery_unreadable"])


class TestDefects:
    def test_leave_the_delivery_to_the_worker(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        meter = site.install()
        with monkeypatch.context() as broken:
            broken.setattr("mdus.workers.readings.take_in", lambda *_, **__: 1 / 0)
            assert "waits for the readings worker" in site.tell(file(record(ORDINARY, ["1"]))).unplaced[0]
        assert (site.statuses(), site.blocks(meter)) == (["ready"], [])
        site.worker.turn()
        assert (site.statuses(), site.blocks(meter)[0].quantities()[0]) == (["done"], 1)
