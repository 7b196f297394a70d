"""The job `determinants`: periods, exchanges, gates, versions and what they replace, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from mdus.billing.determinant import DeterminantStatus, VersionCause
from mdus.domain.channel import MISSING
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.interval_block import INTERVAL_BLOCK
from mdus.storage.session import TABLES
from tests.unit.workers.billing_scene import (
    ESTIMATED,
    JULY,
    JUNE,
    KWH,
    METER,
    POINT,
    SENDER,
    SUSPECT,
    BillingScene,
    local,
)

OTHER = "000000000000000043"


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[BillingScene]:
    made = BillingScene(database_url, tmp_path / "config")
    yield made
    made.close()


def cases(scene: BillingScene) -> dict[str, str]:
    table = TABLES[ExceptionCase]
    with scene.database.read() as uow:
        found = table.fetch(uow.connection, table.select().order_by(table.table.c.id))
    return {case.case_key: case.note for case in found if case.closed_at is None}


class TestAMonth:
    def test_is_determined_where_no_reading_is_ordered(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        told = scene.determine()
        assert told == "1 points of delivery looked at, 1 periods: 4 versions"
        # 22 workdays, none of them a holiday of all of Germany; 64 of their 96 quarters are high.
        total = 30 * 96
        high = 22 * 64
        assert scene.found() == {
            "total": (str(Decimal(total) / 1000), "released"),
            "total.high": (str(Decimal(high) / 1000), "released"),
            "total.low": (str(Decimal(total - high) / 1000), "released"),
            "demand": ("0.004", "released"),
        }
        [one] = {(v.period_from, v.period_to, v.reason, v.reading_type) for v in scene.versions()}
        assert one == (JUNE, JULY, "month", KWH)

    def test_is_not_determined_before_it_is_settled(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine(now=local(date(2026, 7, 1), 23, 59))
        assert scene.versions() == []
        scene.determine(now=local(date(2026, 7, 2), 0, 0))
        assert len(scene.versions()) == 4

    def test_is_held_where_its_last_values_never_came(self, scene: BillingScene) -> None:
        scene.meter(start=local(date(2026, 5, 31)))
        scene.write(scene.block(date(2026, 5, 31)))
        scene.since = local(JUNE, 7)
        scene.determine(now=local(date(2026, 7, 2), 7))
        assert {one.gate_reason for one in scene.versions()} == {
            None,
            "2880 of 2880 intervals have no value, 0 may lack",
        }

    @pytest.mark.parametrize(
        ("month", "quarters"),
        [
            pytest.param(date(2026, 3, 1), 31 * 96 - 4, id="spring"),
            pytest.param(date(2026, 10, 1), 31 * 96 + 4, id="autumn"),
        ],
    )
    def test_has_the_hours_that_its_days_have(self, scene: BillingScene, month: date, quarters: int) -> None:
        end = (month + timedelta(days=32)).replace(day=1)
        scene.since, scene.now = local(end, 7), local(end + timedelta(days=1), 7)
        scene.meter(start=local(month))
        scene.fill(month, end)
        scene.determine()
        [total] = [one for one in scene.versions() if one.name == "total"]
        assert (total.quantity, total.intervals, total.missing) == (Decimal(quarters) / 1000, quarters, 0)

    def test_begins_with_the_meter(self, scene: BillingScene) -> None:
        scene.meter(start=local(date(2026, 6, 10), 12))
        scene.fill(date(2026, 6, 10), JULY)
        scene.determine()
        [total] = [one for one in scene.versions() if one.name == "total"]
        assert (total.period_from, total.intervals) == (date(2026, 6, 10), 20 * 96 + 48)
        assert total.quantity == Decimal(20 * 96 + 48) / 1000


class TestReadings:
    def test_end_periods_with_their_reason(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.order(date(2026, 6, 9), "01")  # at the end of its day
        scene.order(date(2026, 6, 20), "3")
        scene.order(date(2026, 6, 21), "06")  # at the beginning of its day: the same boundary
        scene.order(date(2026, 6, 15), "09")  # ends no period
        scene.order(date(2026, 6, 16), "01", status="cancelled")
        scene.order(date(2026, 6, 17), "01", client="rest:portal")
        scene.determine()
        totals = [one for one in scene.versions() if one.name == "total"]
        assert [(one.period_from.day, one.period_to.day, one.reason, one.quantity) for one in totals] == [
            (1, 10, "1", Decimal("0.864")),
            (10, 21, "3", Decimal("1.056")),
        ]

    def test_that_come_later_part_what_was_one(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine()
        scene.order(date(2026, 6, 29), "03")
        scene.determine(now=scene.now + timedelta(hours=1))
        totals = [one for one in scene.versions() if one.name == "total"]
        assert [(one.status, one.cause, one.period_to, one.version) for one in totals] == [
            (DeterminantStatus.RELEASED, VersionCause.FIRST, JULY, 1),
            (DeterminantStatus.RELEASED, VersionCause.FIRST, date(2026, 6, 30), 1),
            (DeterminantStatus.WITHDRAWN, VersionCause.WITHDRAWN, JULY, 2),
        ]
        assert totals[2].replaces == totals[0].id
        assert "0 versions" in scene.determine(now=scene.now + timedelta(hours=2))


class TestAnExchange:
    def test_at_noon_adds_up_both_meters_each_with_its_factor(self, scene: BillingScene) -> None:
        at = local(date(2026, 6, 10), 12)
        other = scene.channel(OTHER)
        scene.meter(end=at)
        scene.meter(OTHER, start=at, factor="10")
        scene.fill(JUNE, date(2026, 6, 11), 1)
        scene.fill(date(2026, 6, 10), JULY, 3, of=other)
        scene.determine()
        before, after = 9 * 96 + 48, 48 + 20 * 96
        [total] = [one for one in scene.versions() if one.name == "total"]
        assert total.quantity == Decimal(before + 30 * after) / 1000
        assert (total.intervals, total.missing) == (30 * 96, 0)
        [demand] = [one for one in scene.versions() if one.name == "demand"]
        assert demand.quantity == Decimal("0.12")
        assert demand.peak_at == at

    def test_takes_an_average_over_it(self, database_url: str, tmp_path: Path) -> None:
        config = "[[determinant_sets]]\nname = 'standard_import'\ndemand_minutes = 30\n"
        scene = BillingScene(database_url, tmp_path / "config", config=config)
        at = local(date(2026, 6, 10), 12, 15)
        other = scene.channel(OTHER)
        scene.meter(end=at)
        scene.meter(OTHER, start=at)
        scene.fill(JUNE, date(2026, 6, 10))
        scene.fill(date(2026, 6, 11), JULY, of=other)
        day = [1] * 96
        day[48] = 100  # 12:00 of the old meter
        scene.write(scene.block(date(2026, 6, 10), day))
        day = [1] * 96
        day[48], day[49] = 9999, 60  # what the new one tells of the time before counts for nothing
        scene.write(scene.block(date(2026, 6, 10), day, of=other))
        scene.determine()
        [demand] = [one for one in scene.versions() if one.name == "demand"]
        assert (demand.quantity, demand.peak_at) == (Decimal("0.32"), local(date(2026, 6, 10), 12))
        scene.close()

    def test_without_values_of_the_new_meter_is_held(self, scene: BillingScene) -> None:
        at = local(date(2026, 6, 30), 12)
        scene.meter(end=at)
        scene.meter(OTHER, start=at)
        scene.fill(JUNE, JULY)
        scene.write(scene.block(JULY, of=scene.channel(OTHER)))  # it is heard the day after
        scene.determine()
        assert {one.gate_reason for one in scene.versions()} == {"48 of 2880 intervals have no value, 0 may lack"}


class TestRollingDemand:
    def test_reaches_over_midnight_and_not_beyond_the_period(self, database_url: str, tmp_path: Path) -> None:
        config = "[[determinant_sets]]\nname = 'standard_import'\ndemand = 'rolling'\ndemand_minutes = 30\n"
        scene = BillingScene(database_url, tmp_path / "config", config=config)
        scene.meter(start=local(date(2026, 5, 1)))
        scene.fill(date(2026, 5, 1), JULY)
        late, early = [1] * 96, [1] * 96
        late[95], early[0] = 100, 60
        scene.write(scene.block(date(2026, 6, 10), late), scene.block(date(2026, 6, 11), early))
        late[95], early[0] = 900, 700
        scene.write(scene.block(date(2026, 5, 31), late), scene.block(date(2026, 6, 1), early))
        scene.determine()
        demands = [one for one in scene.versions() if one.name == "demand" and one.period_from == JUNE]
        # 701 of the first half hour of June; 1600 over its first midnight are of no period.
        assert [(one.quantity, one.peak_at) for one in demands] == [(Decimal("1.402"), local(JUNE))]
        scene.write(scene.block(date(2026, 6, 1)))
        scene.determine(now=scene.now + timedelta(days=1))
        newest = [one for one in scene.versions(newest=True) if one.name == "demand" and one.period_from == JUNE]
        assert [(one.quantity, one.peak_at) for one in newest] == [(Decimal("0.32"), local(date(2026, 6, 10), 23, 45))]
        scene.close()


class TestGates:
    @pytest.mark.parametrize(
        ("config", "day", "held"),
        [
            pytest.param("most_missing = 2", {"values": [MISSING, MISSING]}, None, id="as many as may lack"),
            pytest.param(
                "most_missing = 1",
                {"values": [MISSING, MISSING]},
                "2 of 2880 intervals have no value, 1 may lack",
                id="one more lacks",
            ),
            pytest.param("most_suspect = 1", {"suspect": 1}, None, id="as many as may be suspect"),
            pytest.param("", {"suspect": 1}, "1 values are suspect, 0 may be", id="one more is suspect"),
            pytest.param("most_estimated_percent = 2.5", {"estimated": 72}, None, id="as many as may be estimated"),
            pytest.param(
                "most_estimated_percent = 2.5",
                {"estimated": 73},
                "2.53 % of the values are estimated, 2.5 % may be",
                id="one more is estimated",
            ),
            pytest.param("oldest_estimate_days = 21", {"estimated": 1}, None, id="as old as it may be"),
            pytest.param(
                "oldest_estimate_days = 20",
                {"estimated": 1},
                "2026-06-10 is estimated, 21 days before the end; 20 may be",
                id="a day older",
            ),
        ],
    )
    def test_hold_with_the_reason(
        self, sqlite_url: str, tmp_path: Path, config: str, day: dict[str, object], held: str | None
    ) -> None:
        rows = f"[[determinant_sets]]\nname = 'standard_import'\n{config}\n"
        scene = BillingScene(sqlite_url, tmp_path / "config", config=rows)
        scene.meter()
        scene.fill(JUNE, JULY)
        values = [*day.get("values", ()), *[1] * 96][:96]  # type: ignore[misc]
        marks = dict.fromkeys(range(int(day.get("estimated", 0))), ESTIMATED)  # type: ignore[call-overload]
        marks |= dict.fromkeys(range(int(day.get("suspect", 0))), SUSPECT)  # type: ignore[call-overload]
        scene.write(scene.block(date(2026, 6, 10), values, marks=marks))
        scene.determine()
        assert {one.gate_reason for one in scene.versions()} == {held}
        status = DeterminantStatus.RELEASED if held is None else DeterminantStatus.HELD
        assert {one.status for one in scene.versions()} == {status}
        key = f"{SENDER}/{POINT}/2026-06-30"
        assert cases(scene) == ({} if held is None else {key: f"4 determinants are held: {held}"})
        scene.close()


class TestTheRegister:
    """June is 2880 x 1 Wh."""

    @pytest.mark.parametrize(
        ("config", "after", "held"),
        [
            pytest.param("", "102.88", None, id="moved as much"),
            pytest.param("", "102.90", None, id="moved two steps more"),
            pytest.param(
                "",
                "102.91",
                "the values come to 2.88 KWH, the register moved 2.91 KWH; 0.02 KWH may be between",
                id="moved three steps more",
            ),
            pytest.param("most_off_register_percent = 50", "104.00", None, id="may be off"),
            pytest.param("", None, None, id="was not read"),
        ],
    )
    def test_holds_what_is_not_what_it_moved(
        self, database_url: str, tmp_path: Path, config: str, after: str | None, held: str | None
    ) -> None:
        rows = f"[[determinant_sets]]\nname = 'standard_import'\n{config}\n"
        scene = BillingScene(database_url, tmp_path / "config", config=rows)
        scene.meter(fraction_digits=2)
        scene.read(local(JUNE), "100.00")
        if after is not None:
            scene.read(local(JULY), after)
        scene.fill(JUNE, JULY)
        scene.determine()
        assert {one.gate_reason for one in scene.versions()} == {held}
        scene.close()

    @pytest.mark.parametrize(("after", "is_held"), [("102.88", False), ("102.91", True)])
    @pytest.mark.parametrize("counts_first", [True, False])
    def test_is_the_counting_one_where_an_interval_register_names_the_values_too(
        self, scene: BillingScene, counts_first: bool, after: str, is_held: bool
    ) -> None:
        for is_counting in (counts_first, not counts_first):
            if is_counting:
                scene.meter(fraction_digits=2)
            else:
                scene.meter(task="INTERVALS", reading_type=KWH)
        scene.read(local(JUNE), "100.00")
        scene.read(local(JULY), after)
        scene.fill(JUNE, JULY)
        scene.determine()
        assert {one.gate_reason is not None for one in scene.versions()} == {is_held}


class TestVersions:
    def test_are_made_once_however_often_the_job_runs(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine()
        since = scene.since
        scene.since = local(JULY, 7)
        assert "0 versions" in scene.determine(now=scene.now + timedelta(hours=1))
        assert scene.since > since
        assert len(scene.versions()) == 4

    def test_of_a_correction_replace_what_they_correct(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine()
        first = {one.name: one for one in scene.versions()}
        scene.now += timedelta(days=1)
        low = [1] * 96
        low[0] = 11
        scene.write(scene.block(date(2026, 6, 10), low))
        scene.determine()
        corrected = scene.versions()[4:]
        assert {one.name: (one.version, one.replaces, one.cause) for one in corrected} == {
            name: (2, first[name].id, VersionCause.CORRECTED) for name in ("total", "total.low", "demand")
        }
        [total] = [one for one in corrected if one.name == "total"]
        assert total.quantity == first["total"].quantity + Decimal("0.01")
        assert [one.id for one in scene.versions(newest=True) if one.name == "total"] == [total.id]

    def test_that_were_held_are_released_when_the_values_come(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, date(2026, 6, 30))
        scene.write(scene.block(date(2026, 6, 30), [MISSING] + [1] * 95))
        scene.determine()
        assert {one.status for one in scene.versions()} == {DeterminantStatus.HELD}
        assert len(cases(scene)) == 1
        scene.now += timedelta(days=1)
        scene.write(scene.block(date(2026, 6, 30)))
        scene.determine()
        assert {one.status for one in scene.versions(newest=True)} == {DeterminantStatus.RELEASED}
        assert cases(scene) == {}

    def test_are_not_made_of_days_that_are_in_no_period_yet(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine(now=scene.now + timedelta(hours=1))
        scene.now += timedelta(days=1)
        scene.write(scene.block(JULY))
        assert scene.determine() == "1 points of delivery looked at, 0 periods: 0 versions"

    def test_of_other_points_of_delivery_are_their_own(self, scene: BillingScene) -> None:
        scene.meter()
        scene.meter(OTHER, point="DE0002")
        scene.fill(JUNE, JULY)
        scene.fill(JUNE, JULY, 2, of=scene.channel(OTHER))
        scene.determine()
        totals = {one.point_of_delivery_id: one.quantity for one in scene.versions() if one.name == "total"}
        assert totals == {"DE0001": Decimal("2.88"), "DE0002": Decimal("5.76")}

    def test_add_up_meters_side_by_side_and_take_the_highest_demand(self, scene: BillingScene) -> None:
        scene.meter()
        scene.meter(OTHER)
        scene.fill(JUNE, JULY)
        scene.fill(JUNE, JULY, 2, of=scene.channel(OTHER))
        scene.determine()
        assert scene.found()["total"] == ("8.64", "released")
        assert scene.found()["demand"] == ("0.008", "released")


class TestValues:
    def test_that_are_billed_are_used_and_no_others(self, scene: BillingScene) -> None:
        scene.meter(start=local(date(2026, 5, 20)))
        scene.fill(date(2026, 5, 20), date(2026, 7, 2))
        scene.write(scene.block(date(2026, 6, 10), 2))
        scene.determine()
        with scene.database.read() as uow:
            columns = (INTERVAL_BLOCK.c.day, INTERVAL_BLOCK.c.version, INTERVAL_BLOCK.c.used)
            rows = [tuple(row) for row in uow.connection.execute(select(*columns))]
        assert {row[:2] for row in rows if not row[2]} == {(JULY, 1), (date(2026, 6, 10), 1)}


class TestParts:
    def test_of_values_that_another_door_wrote_are_made_anew(self, scene: BillingScene) -> None:
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine(now=scene.now + timedelta(hours=1))
        scene.now += timedelta(days=1)
        scene.parted = False
        scene.write(scene.block(date(2026, 6, 10), 2))
        scene.determine()
        assert scene.found()["total"] == ("2.976", "released")

    def test_that_were_never_stored_are_made(self, scene: BillingScene) -> None:
        scene.parted = False
        scene.meter()
        scene.fill(JUNE, JULY)
        scene.determine()
        assert scene.found()["total"] == ("2.88", "released")

    def test_of_another_calendar_are_made_anew(self, database_url: str, tmp_path: Path) -> None:
        before = BillingScene(database_url, tmp_path / "before")
        before.meter()
        before.fill(JUNE, JULY)
        before.close()
        config = "[[billing_calendars]]\nname = 'two_tariff'\notherwise = 'night'\n"
        scene = BillingScene(database_url, tmp_path / "after", config=config)
        scene.determine()
        assert set(scene.found()) == {"total", "total.high", "total.night", "demand"}
        assert sum(Decimal(scene.found()[name][0]) for name in ("total.high", "total.night")) == Decimal("2.88")
        scene.close()


class TestAPointAtFault:
    def test_is_shown_and_costs_no_other(self, scene: BillingScene, monkeypatch: pytest.MonkeyPatch) -> None:
        from mdus.workers import determinants

        for number in range(3):
            scene.meter(f"{number}", point=f"DE{number}")
            scene.fill(JUNE, JULY, of=scene.channel(f"{number}"))
        tally = determinants.tally

        def fails(spans: object, *arguments: object) -> object:
            if spans[0].channel.device_id == "1":  # type: ignore[index]
                raise ZeroDivisionError("of ours")
            return tally(spans, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(determinants, "tally", fails)
        assert scene.determine().endswith("1 failed")
        assert {one.point_of_delivery_id for one in scene.versions()} == {"DE0", "DE2"}
        assert cases(scene) == {f"{SENDER}/DE1": "ZeroDivisionError: of ours"}

        monkeypatch.setattr(determinants, "tally", tally)
        for number in (0, 1):
            scene.now = scene.since = scene.now + timedelta(days=1)
            scene.fill(JUNE, JULY, 2, of=scene.channel(f"{number}"))
            scene.determine()
            assert len(cases(scene)) == 1 - number


class TestFiles:
    def test_are_written_for_yesterday_and_today_and_again_the_same(self, sqlite_url: str, tmp_path: Path) -> None:
        folder = tmp_path / "files"
        scene = BillingScene(sqlite_url, tmp_path / "config", MDUS_BILLING__FOLDER=str(folder))
        scene.meter()
        scene.fill(JUNE, JULY)
        assert scene.determine().endswith("wrote determinants-2026-07-01.csv, determinants-2026-07-02.csv")
        scene.now += timedelta(days=1)
        scene.write(scene.block(date(2026, 6, 10), 2))
        scene.determine()
        first, second = ((folder / f"determinants-2026-07-0{day}.csv").read_text() for day in (2, 3))
        assert len(first.splitlines()) == 5
        header, *lines = second.splitlines()
        row = dict(zip(header.split(","), lines[0].split(","), strict=True))
        assert (row["name"], row["version"], row["cause"]) == ("total", "2", "corrected")
        assert row["replaces"] == first.splitlines()[1].split(",")[0]
        scene.since = local(JULY, 7)
        scene.determine()
        assert (folder / "determinants-2026-07-03.csv").read_text() == second
        names = ["determinants-2026-07-01.csv", "determinants-2026-07-02.csv", "determinants-2026-07-03.csv"]
        assert sorted(each.name for each in folder.iterdir()) == names
        scene.close()


class TestAMeterOfManyRegisters:
    def test_is_counted_once(self, scene: BillingScene) -> None:
        scene.meter()
        scene.meter(METER, task="T2")
        scene.fill(JUNE, JULY)
        scene.determine()
        assert scene.found()["total"] == ("2.88", "released")
