"""Each day's figures are kept, once however often they are counted; too many estimates open a case."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from mdus.domain.channel import MISSING, Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.kpi import Kpi, KpiName, Part, is_too_much, quantiles
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.reading_quality import ESTIMATED, QualitySet
from mdus.settings import HeadEnd, Settings, load_settings
from mdus.storage import exception_figures
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import ensure_channels, quality_marks, write_blocks
from mdus.storage.kpi import kpis
from mdus.storage.session import Database
from mdus.telemetry import metrics
from mdus.workers import kpi_rollup

SETTINGS = load_settings({})
CITY = HeadEnd(name="city", kind="file_drop", time_zone="Europe/Berlin")
WITH_CITY = SETTINGS.model_copy(update={"head_ends": (CITY,)})
#: A Tuesday; the day before it is a Monday.
DAY = date(2026, 3, 24)
YESTERDAY = date(2026, 3, 23)
NOW = datetime(2026, 3, 24, 5, 0, tzinfo=UTC)
MORNING = datetime(2026, 3, 23, 9, 0, tzinfo=UTC)


def roll_up(database: Database, *, settings: Settings = SETTINGS, later: int = 0) -> str:
    days = timedelta(days=later)
    return kpi_rollup.run(database, settings=settings, now=NOW + days, day=DAY + days)


def figures(database: Database, name: KpiName, *, day: date = YESTERDAY) -> dict[tuple[str, ...], float]:
    with database.read() as uow:
        found = list(kpis(uow.connection, name=name, since=day, until=day, limit=1000))
    return {tuple(kpi.labels.values()): kpi.value for kpi in found}


def metered(
    database: Database,
    device_id: str,
    *,
    present: int,
    estimated: int = 0,
    head_end: str = "city",
    day: date = YESTERDAY,
) -> None:
    """Store a day of 96 intervals of which some are there, and as many fit to bill, some of them estimated."""
    channel = Channel(
        sender_system="P11",
        device_id=device_id,
        reading_type="1-0:1.29.0*255",
        interval_minutes=15,
        time_zone="Europe/Berlin",
        unit="KWH",
        decimals=3,
    )
    values = np.full(96, MISSING, dtype=np.int64)
    values[:present] = 1
    with database.begin() as uow:
        made = quality_marks(uow.connection, [QualitySet.of([ESTIMATED])])[QualitySet.of([ESTIMATED])]
        qualities = np.zeros(96, dtype=np.uint16)
        qualities[:estimated] = made
        uow.save(
            [
                EndDevice(
                    sender_system="P11",
                    device_id=device_id,
                    serial_id=device_id,
                    material_id="x",
                    valid_from=date(2026, 1, 1),
                    head_end=head_end,
                )
            ]
        )
        ensure_channels(uow.connection, [channel])
        shared: dict[str, Any] = {"channel": channel, "day": day, "values": values, "written_by": "test"}
        raw = IntervalBlock(**shared, qualities=np.zeros(96, dtype=np.uint16), written_at=MORNING)
        final = IntervalBlock(
            **shared, qualities=qualities, layer=Layer.FINAL, written_at=datetime(2026, 3, 23, 1, 0, tzinfo=UTC)
        )
        write_blocks(uow.connection, [raw, final] if present else [])


def case(
    key: str, *, kind: str = "x", opened_at: datetime = MORNING, closed_at: datetime | None = None
) -> ExceptionCase:
    return ExceptionCase(kind=kind, case_key=key, opened_at=opened_at, closed_at=closed_at, note="x")


class TestCases:
    def test_are_counted_as_of_the_end_of_the_day(self, database: Database) -> None:
        ends = datetime(2026, 3, 23, 23, 0, tzinfo=UTC)  # midnight in Berlin
        second = timedelta(seconds=1)
        with database.begin() as uow:
            uow.save(
                [
                    case("open"),
                    case("closed in time", closed_at=ends - second),
                    case("closed after", closed_at=ends),
                    case("opened after", opened_at=ends),
                    case("older", opened_at=MORNING - timedelta(days=5)),
                ]
            )
        roll_up(database)
        assert figures(database, KpiName.OPEN_CASES) == {("", "x", ""): 3}
        assert figures(database, KpiName.CASES_OPENED) == {("x",): 3}
        assert figures(database, KpiName.CASES_CLOSED) == {("x",): 1}
        # From Wednesday to Monday: three working days; the others are of the day itself.
        assert figures(database, KpiName.CASE_AGE_DAYS) == {("0.5",): 0, ("0.95",): 3}


class TestValues:
    def test_are_complete_by_head_end(self, database: Database) -> None:
        metered(database, "1", present=96)
        metered(database, "2", present=48)
        metered(database, "3", present=0)
        metered(database, "4", present=24, head_end="village")
        roll_up(database)
        assert figures(database, KpiName.COMPLETENESS) == {("city",): 0.5, ("village",): 0.25}
        assert figures(database, KpiName.COMPLETENESS, day=DAY - timedelta(days=2)) == {("city",): 0, ("village",): 0}

    def test_say_how_late_they_are(self, database: Database) -> None:
        reading = {"sender_system": "P11", "device_id": "1", "reading_type": "1-0:1.8.0*255", "value": 1}
        with database.begin() as uow:
            for seconds in (60, 120, 600):
                uow.save(
                    [MeterReading(**reading, measured_at=MORNING - timedelta(seconds=seconds), received_at=MORNING)]
                )
        metered(database, "1", present=96, day=date(2026, 3, 22))
        roll_up(database)
        assert figures(database, KpiName.READING_SECONDS) == {("0.5",): 120, ("0.95",): 600}
        # The 22nd ended at 23:00 UTC; its values were fit to bill two hours later.
        assert figures(database, KpiName.BILLING_READY_SECONDS) == {("0.5",): 7200, ("0.95",): 7200}

    def test_of_days_before_are_counted_again(self, database: Database) -> None:
        roll_up(database)
        metered(database, "1", present=96, day=DAY - timedelta(days=3))
        roll_up(database)
        assert figures(database, KpiName.COMPLETENESS, day=DAY - timedelta(days=3)) == {("city",): 1}


class TestEstimates:
    @pytest.mark.parametrize(("estimated", "cases"), [(5, 0), (6, 1)], ids=["5 %", "more"])
    def test_beyond_the_limit_open_a_case(self, database: Database, estimated: int, cases: int) -> None:
        metered(database, "1", present=96, estimated=estimated)
        metered(database, "2", present=4)
        told = roll_up(database)
        assert figures(database, KpiName.ESTIMATED_SHARE) == {("P11",): estimated / 100}
        with database.read() as uow:
            rows = uow.connection.execute(select(EXCEPTION_CASE.table)).all()
        assert [(row.kind, row.case_key) for row in rows] == [("estimated_share_high", "P11")] * cases
        assert f"{cases} cases opened" in told

    def test_close_it_when_they_are_fewer(self, database: Database) -> None:
        metered(database, "1", present=96, estimated=96)
        roll_up(database)
        metered(database, "1", present=96)
        assert "1 closed" in roll_up(database)


def ordered(
    database: Database, count: int, *, first: int = 1, closes: datetime = MORNING, estimated: int = 0, **facts: Any
) -> None:
    """Store orders whose windows close at an instant; so many of them are answered by an estimate."""
    shared: dict[str, Any] = {
        "sender_system": "P11",
        "measurement_task_id": "1",
        "obis_text": "1-0:1.8.0",
        "reading_type": "1-0:1.8.0*255",
        "reason_code": "01",
        "scheduled_on": closes.date() - timedelta(days=2),
        "time_zone": "Europe/Berlin",
        "status": DocumentStatus.CONFIRMED,
        "due_at": closes,
        "window_from": closes - timedelta(days=1),
        "window_until": closes,
        "order_item_id": 1,
        "device_id": "1",
        "value": Decimal(1),
    }
    with database.begin() as uow:
        uow.save(
            [
                MeterReadingDocument(
                    **{**shared, **facts},
                    document_id=f"{first + number:012d}",
                    estimate='{"method": "scalar_adc"}' if number < estimated else None,
                )
                for number in range(count)
            ]
        )


def open_reads(database: Database) -> dict[str, str]:
    """Return the open cases of estimated readings, with their notes."""
    with database.read() as uow:
        rows = uow.connection.execute(select(EXCEPTION_CASE.table)).all()
    return {row.case_key: row.note for row in rows if row.kind == "estimated_reads_high" and row.closed_at is None}


class TestReadings:
    def test_that_answered_orders_are_shared_out_by_head_end(self, database: Database) -> None:
        metered(database, "1", present=0)
        metered(database, "2", present=0, head_end="village")
        ordered(database, 4, estimated=1)
        ordered(database, 2, first=10, device_id="2", estimated=2)
        ordered(database, 5, first=20, device_id="3")  # of no device that is known
        ordered(database, 5, first=30, sender_system="P12")
        told = roll_up(database)
        assert figures(database, KpiName.ESTIMATED_READS) == {
            ("city", "P11"): 0.25,
            ("village", "P11"): 1,
            ("", "P11"): 0,
            ("", "P12"): 0,
        }
        assert set(open_reads(database)) == {"P11/city", "P11/village"}
        assert "2 cases opened" in told

    def test_are_of_the_day_their_window_closed(self, database: Database) -> None:
        begins, ends = (datetime(2026, 3, day, 23, 0, tzinfo=UTC) for day in (22, 23))  # midnights in Berlin
        ordered(database, 1, closes=begins - timedelta(seconds=1))
        ordered(database, 3, first=10, closes=begins, estimated=1)
        ordered(database, 1, first=20, closes=ends - timedelta(seconds=1))
        ordered(database, 7, first=30, closes=ends)
        roll_up(database)
        assert figures(database, KpiName.ESTIMATED_READS) == {("", "P11"): 0.25}
        assert figures(database, KpiName.ESTIMATED_READS, day=date(2026, 3, 22)) == {("", "P11"): 0}

    def test_of_people_and_clients_count_in_neither(self, database: Database) -> None:
        ordered(database, 2, estimated=1)
        ordered(database, 2, first=10, client="portal", status=DocumentStatus.AVAILABLE)
        for place, status in enumerate(DocumentStatus):
            ordered(database, 1, first=20 + place, status=status)
        roll_up(database)
        answered = 2 + 4  # those that are read, sent, confirmed and refused
        assert figures(database, KpiName.ESTIMATED_READS) == {("", "P11"): 1 / answered}

    def test_that_were_estimated_after_days_of_attempts_are_counted_again(self, database: Database) -> None:
        long_ago = MORNING - timedelta(days=6)
        ordered(database, 2, closes=long_ago, status=DocumentStatus.ORDERED)
        roll_up(database)
        assert figures(database, KpiName.ESTIMATED_READS, day=long_ago.date()) == {}
        ordered(database, 2, closes=long_ago, estimated=1)
        roll_up(database)
        assert figures(database, KpiName.ESTIMATED_READS, day=long_ago.date()) == {("", "P11"): 0.5}

    @pytest.mark.parametrize(("estimated", "is_open"), [(5, False), (6, True)], ids=["5 %", "more"])
    def test_beyond_the_limit_open_a_case(self, database: Database, estimated: int, *, is_open: bool) -> None:
        ordered(database, 100, estimated=estimated)
        roll_up(database)
        assert bool(open_reads(database)) is is_open
        if is_open:
            assert open_reads(database)["P11"] == (
                "6.0 % of the readings that answered orders of P11 from 2026-03-17 to 2026-03-23 are estimated "
                "(6 of 100); 5 % may be"
            )

    @pytest.mark.parametrize(("estimated", "is_open"), [(10, False), (11, True)], ids=["5 %", "more"])
    def test_are_judged_by_all_days_together(self, database: Database, estimated: int, *, is_open: bool) -> None:
        ordered(database, 100, closes=MORNING - timedelta(days=6), estimated=estimated)
        ordered(database, 100, first=200)
        ordered(database, 100, first=400, closes=MORNING - timedelta(days=7), estimated=100)  # before them
        roll_up(database)
        assert bool(open_reads(database)) is is_open
        assert figures(database, KpiName.ESTIMATED_READS_SETTLED) == {("", "P11"): estimated / 200}
        assert figures(database, KpiName.ESTIMATED_READS) == {("", "P11"): 0}

    @pytest.mark.parametrize(
        ("status", "share"),
        [(DocumentStatus.ORDERED, 0.06), (DocumentStatus.CONFIRMED, 3 / 101), (DocumentStatus.FAILED, 0.03)],
        ids=["awaited", "answered", "given up"],
    )
    def test_of_a_day_that_others_are_awaited_of_are_not_judged_yet(
        self, database: Database, status: DocumentStatus, share: float
    ) -> None:
        ordered(database, 50, closes=MORNING - timedelta(days=3), estimated=3)
        ordered(database, 50, first=200)  # those that were read at once
        ordered(database, 1, first=300, status=status)
        ordered(database, 9, first=400, status=DocumentStatus.ORDERED, client="portal")
        ordered(database, 9, first=500, status=DocumentStatus.ORDERED, sender_system="P12")
        roll_up(database)
        assert figures(database, KpiName.ESTIMATED_READS_SETTLED) == {("", "P11"): share}
        assert bool(open_reads(database)) is (status is DocumentStatus.ORDERED)
        assert set(figures(database, KpiName.ESTIMATED_READS)) == {("", "P11")}

    def test_keep_their_case_until_a_later_cycle_is_better(self, database: Database) -> None:
        metered(database, "1", present=0)
        ordered(database, 10, estimated=5)
        roll_up(database, settings=WITH_CITY)
        roll_up(database, settings=WITH_CITY, later=30)
        assert set(open_reads(database)) == {"P11/city"}  # of that month nothing is known yet
        ordered(database, 10, first=100, closes=MORNING + timedelta(days=30), status=DocumentStatus.ORDERED)
        roll_up(database, settings=WITH_CITY, later=30)
        assert set(open_reads(database)) == {"P11/city"}
        ordered(database, 10, first=100, closes=MORNING + timedelta(days=30))
        assert "1 closed" in roll_up(database, settings=WITH_CITY, later=30)
        assert open_reads(database) == {}

    @pytest.mark.parametrize("gone", ["none", "the row", "the meters"])
    def test_close_their_case_where_a_head_end_serves_no_more(self, database: Database, gone: str) -> None:
        metered(database, "1", present=0)
        ordered(database, 10, estimated=5)
        roll_up(database, settings=WITH_CITY)
        if gone == "the meters":
            metered(database, "1", present=0, head_end="village")
        told = roll_up(database, settings=SETTINGS if gone == "the row" else WITH_CITY, later=30)
        assert bool(open_reads(database)) is (gone == "none")
        assert f"{int(gone != 'none')} closed" in told

    def test_are_told_by_metrics_with_both_labels(self, database: Database) -> None:
        metered(database, "1", present=0)
        ordered(database, 4, estimated=1)
        roll_up(database)
        with database.read() as uow:
            told = exception_figures.newest(
                uow.connection, KpiName.ESTIMATED_READS_SETTLED, *metrics.ESTIMATED_READS.labels
            )
        assert told == {("P11", "city"): 0.25}


def test_counting_twice_keeps_one_figure_each(database: Database) -> None:
    metered(database, "1", present=96, estimated=9)
    roll_up(database)
    with database.read() as uow:
        before = list(kpis(uow.connection, name=None, since=date.min, until=date.max, limit=1000))
    roll_up(database)
    with database.read() as uow:
        after = list(kpis(uow.connection, name=None, since=date.min, until=date.max, limit=1000))
    assert [(kpi.day, kpi.name, kpi.labels) for kpi in after] == [(kpi.day, kpi.name, kpi.labels) for kpi in before]
    assert after == before


def test_metrics_tell_the_newest_day(database: Database) -> None:
    metered(database, "1", present=48)
    roll_up(database)
    with database.read() as uow:
        assert exception_figures.newest(uow.connection, KpiName.COMPLETENESS, "head_end") == {("city",): 0.5}
        assert exception_figures.newest(uow.connection, KpiName.BILLING_READY_SECONDS, "quantile") != {}


def test_quantiles() -> None:
    assert quantiles([]) == {}
    assert quantiles([float(number) for number in range(100)]) == {"0.5": 50, "0.95": 95}


@pytest.mark.parametrize(("count", "of", "much"), [(5, 100, False), (6, 100, True), (0, 0, False)])
def test_too_much(count: int, of: int, *, much: bool) -> None:
    assert is_too_much(Part(count=count, of=of), percent=5) is much


def test_a_figure_has_labels_or_none() -> None:
    assert Kpi(day=DAY, name=KpiName.COMPLETENESS, value=1).labels == {}
