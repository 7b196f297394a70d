"""Interval values split the advance of a register exactly, and are told as regularly as meters and faults let them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.clock import instant
from simulators.fleet.intervals import Profiles
from simulators.fleet.meters import DISCONNECTED, Irregularity, Kind, Meter, exact, midnight, population
from simulators.fleet.snapshots import Collection

BERLIN = ZoneInfo("Europe/Berlin")
HEARD = datetime(2026, 3, 1, tzinfo=UTC)
DAY = date(2026, 3, 28)
NEVER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def meters() -> list[Meter]:
    """Twenty meters that have long been heard and delivering."""
    meters = population(seed=7, size=20)
    for meter in meters:
        meter.first_heard_at = HEARD
        meter.collected_since = {channel.obis: HEARD for channel in meter.channels}
    return meters


def profiles_of(meters: list[Meter], *, rate: float = 0.0, daily: bool = False, zone: ZoneInfo = BERLIN) -> Profiles:
    collection = Collection(meters, seed=7, zone=zone, late_rate=rate)
    return Profiles(collection, seed=7, zone=zone, rate=rate, daily=daily)


def bounds(day: date) -> tuple[datetime, datetime]:
    return midnight(day, BERLIN), midnight(day + timedelta(days=1), BERLIN)


def of_model(meters: list[Meter], material: str) -> Meter:
    return next(meter for meter in meters if meter.material == material)


def told(blocks: list[dict[str, Any]]) -> dict[tuple[str, datetime], tuple[str | None, str | None]]:
    """Return value and quality of every interval told, by OBIS code and start; each must be told once."""
    values: dict[tuple[str, datetime], tuple[str | None, str | None]] = {}
    for block in blocks:
        qualities = block.get("quality") or [None] * len(block["values"])
        for place, (value, quality) in enumerate(zip(block["values"], qualities, strict=True)):
            start = instant(block["start"]) + place * timedelta(minutes=block["interval_minutes"])
            assert (block["obis"], start) not in values
            values[block["obis"], start] = (value, quality)
    return values


class TestTrue:
    @pytest.mark.parametrize(
        ("day", "quarters"),
        [
            pytest.param(date(2026, 3, 28), 96, id="ordinary"),
            pytest.param(date(2026, 3, 29), 92, id="clocks-forward"),
            pytest.param(date(2026, 10, 25), 100, id="clocks-back"),
        ],
    )
    def test_adds_up_to_the_advance_of_the_register(self, meters: list[Meter], day: date, quarters: int) -> None:
        profiles, (begin, end) = profiles_of(meters), bounds(day)
        for meter in meters[:10]:
            for channel in meter.channels:
                passed = profiles.true(meter, channel, begin, end)
                assert len(passed) == quarters * 15 // channel.minutes
                assert passed[0][0] == begin
                advance = meter.true(channel.register, end) - meter.true(channel.register, begin)
                assert sum(true for _, true in passed) == advance

    def test_passes_nothing_while_disconnected(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX100-SW"), bounds(DAY)
        assert meter.breaker is not None
        meter.breaker.operate(DISCONNECTED, begin + timedelta(hours=12))
        passed = [true for _, true in profiles_of(meters).true(meter, meter.channels[0], begin, end)]
        assert all(passed[:48])
        assert passed[48:] == [0] * 48

    def test_counts_hours_from_local_midnight(self, meters: list[Meter]) -> None:
        kolkata = ZoneInfo("Asia/Kolkata")
        meter = of_model(meters, "GX4-B")
        begin, end = midnight(DAY, kolkata), midnight(DAY + timedelta(days=1), kolkata)
        passed = profiles_of(meters, zone=kolkata).true(meter, meter.channels[0], begin, end)
        assert (passed[0][0].minute, len(passed)) == (30, 24)


class TestFirstTelling:
    def test_is_one_block_of_a_regular_day_with_all_digits(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        [block] = profiles_of(meters).first_telling(meter, begin, end)
        assert {name: value for name, value in block.items() if name != "values"} == {
            "serial": meter.serial,
            "obis": "1-0:1.29.0*255",
            "unit": "kWh",
            "interval_minutes": 15,
            "start": "2026-03-27T23:00:00Z",
        }
        register = meter.registers[0]
        total = sum(Decimal(value) for value in block["values"])
        assert total == exact(meter.true(register, end) - meter.true(register, begin))

    def test_crosses_no_midnight(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        blocks = profiles_of(meters).first_telling(meter, begin - timedelta(hours=1), end + timedelta(hours=1))
        assert [len(block["values"]) for block in blocks] == [4, 96, 4]

    def test_tells_import_and_export_of_who_feeds_in(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX200-SW"), bounds(DAY)
        blocks = profiles_of(meters).first_telling(meter, begin, end)
        assert [block["obis"] for block in blocks] == ["1-0:1.29.0*255", "1-0:2.29.0*255"]

    def test_begins_with_the_first_interval_after_all_is_known(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        meter.first_heard_at = begin + timedelta(hours=2)
        meter.collected_since = {meter.channels[0].obis: begin + timedelta(hours=2, minutes=1)}
        [block] = profiles_of(meters).first_telling(meter, begin, end)
        assert block["start"] == "2026-03-28T01:15:00Z"

    @pytest.mark.parametrize("missing", ["heard", "provisioned"])
    def test_tells_nothing_of_who_is_not(self, meters: list[Meter], missing: str) -> None:
        meter = of_model(meters, "LX100")
        if missing == "heard":
            meter.first_heard_at = None
        else:
            meter.collected_since = {}
        assert profiles_of(meters).first_telling(meter, *bounds(DAY)) == []

    @pytest.mark.parametrize(
        ("kind", "first", "second"),
        [
            pytest.param(Kind.LATE, None, ("true", None), id="late"),
            pytest.param(Kind.GAP, (None, "2.5.259"), None, id="gap"),
            pytest.param(Kind.LOST, (None, "1.2.32"), None, id="lost"),
            pytest.param(Kind.REVISED, ("estimate", "2.8.0"), ("true", None), id="revised"),
        ],
    )
    def test_is_wrong_as_made_and_mended_by_the_second(
        self, meters: list[Meter], kind: Kind, first: Any, second: Any
    ) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        regular = told(profiles_of(meters).first_telling(meter, begin, end))
        spoiled = Irregularity(begin=begin + timedelta(hours=3), end=begin + timedelta(hours=4), kind=kind)
        meter.irregularities.append(spoiled)
        before = told(profiles_of(meters).first_telling(meter, begin, end))
        after = told(profiles_of(meters).second_telling(meter, begin, end))
        inside = [key for key in regular if spoiled.begin <= key[1] < spoiled.end]
        assert len(inside) == 4
        for key, value in regular.items():
            if key not in inside:
                assert before[key] == value
                assert key not in after
                continue
            for tellings, expected in ((before, first), (after, second)):
                if expected is None:
                    assert key not in tellings
                elif expected[0] == "estimate":
                    assert tellings[key][1] == expected[1]
                    assert tellings[key][0] != value[0]
                else:
                    assert tellings[key] == (value[0] if expected[0] == "true" else None, expected[1])

    @pytest.mark.parametrize("kind", [Kind.LATE, Kind.REVISED])
    def test_is_right_of_what_was_collected_twice_meanwhile(self, meters: list[Meter], kind: Kind) -> None:
        meter, (begin, end) = of_model(meters, "LX100-SW"), bounds(DAY)
        regular = profiles_of(meters).first_telling(meter, begin, end)
        meter.irregularities.append(Irregularity(begin=begin, end=begin + timedelta(hours=1), kind=kind))
        profiles = profiles_of(meters)
        assert profiles.first_telling(meter, begin, end, twice=begin + timedelta(hours=1)) == regular
        assert profiles.first_telling(meter, begin, end, twice=begin + timedelta(minutes=45)) != regular

    def test_is_wrong_now_and_then_by_itself(self, meters: list[Meter]) -> None:
        profiles = profiles_of(meters, rate=0.05)
        meter, (begin, end) = of_model(meters, "LX200-SW"), bounds(DAY)
        values = told(profiles.first_telling(meter, begin - timedelta(days=4), end))
        assert {quality for _, quality in values.values()} == {None, "2.5.259", "1.2.32", "2.8.0"}
        assert len(values) < 2 * 5 * 96  # some are late
        assert sum(quality is None for _, quality in values.values()) > 2 * 5 * 80
        assert values == told(profiles_of(meters, rate=0.05).first_telling(meter, begin - timedelta(days=4), end))


class TestKnown:
    @pytest.mark.parametrize(
        ("material", "daily", "at", "known"),
        [
            pytest.param("LX200-SW", False, "12:00:59", 2 * 47, id="quarters-just-before"),
            pytest.param("LX200-SW", False, "12:01:00", 2 * 48, id="quarters"),
            pytest.param("LX100-SW", False, "12:00:59", 44, id="hourly-just-before"),
            pytest.param("LX100-SW", False, "12:01:00", 48, id="hourly"),
            pytest.param("LX100", False, "23:59:59", 0, id="daily-before-midnight"),
            pytest.param("LX200-SW", True, "23:59:59", 0, id="made-daily-before-midnight"),
        ],
    )
    def test_grows_with_the_collections(
        self, meters: list[Meter], material: str, daily: bool, at: str, known: int
    ) -> None:
        now = datetime.fromisoformat(f"2026-03-28T{at}+01:00")
        blocks = profiles_of(meters, daily=daily).known(of_model(meters, material), DAY, HEARD, NEVER, now=now)
        assert sum(len(block["values"]) for block in blocks) == known

    def test_is_whole_when_the_day_was_collected(self, meters: list[Meter]) -> None:
        meter = of_model(meters, "LX100")
        for minutes, known in ((0, 0), (16, 96)):
            now = midnight(DAY + timedelta(days=1), BERLIN) + timedelta(minutes=minutes)
            blocks = profiles_of(meters).known(meter, DAY, HEARD, NEVER, now=now)
            assert sum(len(block["values"]) for block in blocks) == known

    def test_is_cut_to_what_starts_in_the_period(self, meters: list[Meter]) -> None:
        meter = of_model(meters, "LX100")
        begin = midnight(DAY, BERLIN) + timedelta(minutes=5)
        [block] = profiles_of(meters).known(meter, DAY, begin, begin + timedelta(minutes=30), now=NEVER)
        assert (block["start"], len(block["values"])) == ("2026-03-27T23:15:00Z", 2)

    @pytest.mark.parametrize("kind", [Kind.LATE, Kind.REVISED])
    @pytest.mark.parametrize("material", ["LX100", "LX100-SW"])
    def test_changes_with_the_second_collection(self, meters: list[Meter], material: str, kind: Kind) -> None:
        meter, (begin, end) = of_model(meters, material), bounds(DAY)
        meter.irregularities.append(Irregularity(begin=begin, end=begin + timedelta(hours=1), kind=kind))
        profiles = profiles_of(meters)

        def first_hour(now: datetime) -> list[tuple[str | None, str | None]]:
            return list(told(profiles.known(meter, DAY, begin, begin + timedelta(hours=1), now=now)).values())

        soon, later = end + timedelta(minutes=16), end + timedelta(days=2)
        if material == "LX100-SW":
            soon, later = begin + timedelta(hours=6, minutes=59), begin + timedelta(hours=7, minutes=1)
        true = [exact(value) for _, value in profiles.true(meter, meter.channels[0], begin, end)[:4]]
        if kind is Kind.LATE:
            assert first_hour(soon) == []
        else:
            assert [quality for _, quality in first_hour(soon)] == ["2.8.0"] * 4
        assert [Decimal(value or 0) for value, _ in first_hour(later)] == true
        assert [quality for _, quality in first_hour(later)] == [None] * 4

    @pytest.mark.parametrize(
        ("kind", "filled"), [pytest.param(Kind.GAP, True, id="gap"), pytest.param(Kind.LOST, False, id="lost")]
    )
    def test_is_filled_when_the_meter_was_asked_and_had_it(self, meters: list[Meter], kind: Kind, filled: bool) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        meter.irregularities.append(Irregularity(begin=begin, end=begin + timedelta(hours=1), kind=kind))
        meter.read_again.append((begin, end))
        [block] = profiles_of(meters).known(meter, DAY, begin, end, now=NEVER)
        assert (None not in block["values"]) is filled


class TestStored:
    def test_has_what_ended_whether_delivered_or_not(self, meters: list[Meter]) -> None:
        meter, (begin, _) = of_model(meters, "LX100"), bounds(DAY)
        meter.first_heard_at = begin + timedelta(hours=6)
        meter.irregularities.append(Irregularity(begin=begin, end=begin + timedelta(minutes=15), kind=Kind.GAP))
        profiles = profiles_of(meters)
        for minutes, known in ((59, 3), (60, 4)):
            [block] = profiles.stored(meter, begin, NEVER, now=begin + timedelta(minutes=minutes))
            assert len(block["values"]) == known
            assert None not in block["values"]

    def test_lacks_what_the_meter_lost(self, meters: list[Meter]) -> None:
        meter, (begin, end) = of_model(meters, "LX100"), bounds(DAY)
        meter.irregularities.append(Irregularity(begin=begin, end=begin + timedelta(minutes=15), kind=Kind.LOST))
        [block] = profiles_of(meters).stored(meter, begin, end, now=NEVER)
        assert (block["values"][0], block["quality"][:2]) == (None, ["1.2.32", None])


class TestPage:
    def test_follows_days_and_serials(self, meters: list[Meter]) -> None:
        profiles = profiles_of(meters)
        begin, end = midnight(DAY, BERLIN), midnight(DAY + timedelta(days=2), BERLIN)
        found: list[tuple[str, str]] = []
        after: tuple[str, str] | None = None
        pages = 0
        while True:
            blocks, after = profiles.page(meters, begin, end, now=NEVER, after=after, limit=7)
            found += dict.fromkeys((block["start"][:10], block["serial"]) for block in blocks)
            pages += 1
            if after is None:
                break
        serials = [meter.serial for meter in meters]
        assert found == [(day, serial) for day in ("2026-03-27", "2026-03-28") for serial in serials]
        assert pages == 6

    def test_has_no_more_when_it_just_holds_all(self, meters: list[Meter]) -> None:
        blocks, after = profiles_of(meters).page(meters, *bounds(DAY), now=NEVER, after=None, limit=20)
        assert len({block["serial"] for block in blocks}) == 20
        assert after is None
