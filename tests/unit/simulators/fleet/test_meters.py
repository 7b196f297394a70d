"""The meters follow from the seed, and their registers count as registers do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from simulators.fleet.meters import CONNECTED, DISCONNECTED, Meter, Register, midnight, population

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def meters() -> list[Meter]:
    return population(seed=7, size=20)


class TestPopulation:
    def test_is_the_same_for_the_same_seed(self, meters: list[Meter]) -> None:
        assert population(seed=7, size=20) == meters

    def test_differs_for_another_seed_in_serials_and_load(self, meters: list[Meter]) -> None:
        others = population(seed=8, size=20)
        assert not {meter.serial for meter in meters} & {meter.serial for meter in others}
        assert others[0].registers[0].passed(NOON) != meters[0].registers[0].passed(NOON)

    def test_begins_with_the_same_meters_whatever_its_size(self, meters: list[Meter]) -> None:
        assert population(seed=7, size=5) == meters[:5]

    def test_begins_in_the_row_of_all_where_it_is_told_to(self, meters: list[Meter]) -> None:
        assert population(seed=7, size=5, first=15) == meters[15:]

    def test_has_serials_with_leading_zeros_in_ascending_order(self, meters: list[Meter]) -> None:
        serials = [meter.serial for meter in meters]
        assert serials == sorted(serials)
        assert all(len(serial) == 10 and serial.startswith("000") for serial in serials)

    def test_has_all_commodities_and_breakers_on_some_electricity_only(self, meters: list[Meter]) -> None:
        with_breaker = [(meter.commodity, meter.breaker is not None) for meter in meters]
        assert with_breaker.count(("electricity", True)) == 10
        assert with_breaker.count(("electricity", False)) == 2
        assert with_breaker.count(("gas", False)) == 4
        assert with_breaker.count(("water", False)) == 4


class TestRegister:
    def test_grows_in_every_quarter_of_an_hour_of_a_year(self, meters: list[Meter]) -> None:
        instants = [NOON + timedelta(minutes=15 * step) for step in range(0, 4 * 24 * 366, 7)]
        for meter in meters[:5]:
            for register in meter.registers:
                passed = [register.passed(at) for at in instants]
                if register.obis == "1-0:2.8.0*255":
                    assert all(earlier <= later for earlier, later in pairwise(passed))
                else:
                    assert all(earlier < later for earlier, later in pairwise(passed))

    def test_feeds_in_by_day_and_more_in_summer(self, meters: list[Meter]) -> None:
        export = meters[1].registers[3]

        def fed_in(begin: datetime, hours: int) -> int:
            return export.passed(begin + timedelta(hours=hours)) - export.passed(begin)

        assert fed_in(datetime(2026, 6, 21, 20, tzinfo=UTC), 6) == 0
        summer, winter = (fed_in(datetime(2026, month, 21, 0, tzinfo=UTC), 24) for month in (6, 12))
        assert 0 < 3 * winter < summer
        assert fed_in(datetime(2026, 6, 21, 9, tzinfo=UTC), 4) > summer // 3

    @pytest.mark.parametrize(
        ("index", "least", "most"),
        [
            pytest.param(0, 1, 20, id="electricity-kwh"),
            pytest.param(2, 0.3, 10, id="gas-m3"),
            pytest.param(4, 0.05, 1, id="water-m3"),
        ],
    )
    def test_counts_a_plausible_day(self, meters: list[Meter], index: int, least: float, most: float) -> None:
        register = meters[index].registers[0]
        day = (register.passed(NOON + timedelta(days=1)) - register.passed(NOON)) / 1e6
        assert least < day < most

    def test_holds_the_exact_sum_of_its_tariffs(self, meters: list[Meter]) -> None:
        total, day, night, _ = meters[1].registers
        assert total.passed(NOON) == day.passed(NOON) + night.passed(NOON)

    @pytest.mark.parametrize(
        ("true", "shown"),
        [
            pytest.param(12_345_678_999, "12345.67", id="cut-not-rounded"),
            pytest.param(12_345_600_000, "12345.60", id="decimals-kept"),
            pytest.param(9_999, "0.00", id="below-the-last-digit"),
            pytest.param(999_999_999_999, "999999.99", id="full"),
            pytest.param(1_000_000_000_000, "0.00", id="rolled-over"),
        ],
    )
    def test_shows_its_digits(self, true: int, shown: str) -> None:
        assert Register(obis="1-0:1.8.0*255", unit="kWh", digits=6, decimals=2, loads=()).shown(true) == shown

    def test_shows_no_point_without_decimals(self) -> None:
        register = Register(obis="1-0:1.8.0*255", unit="kWh", digits=6, decimals=0, loads=())
        assert register.shown(12_345_678_999) == "12345"


class TestMeter:
    def test_counts_nothing_while_disconnected(self, meters: list[Meter]) -> None:
        meter = meters[0]
        register = meter.registers[0]
        assert meter.breaker is not None
        before = meter.true(register, NOON)
        meter.breaker.operate(DISCONNECTED, NOON)
        assert meter.true(register, NOON + timedelta(hours=5)) == before
        meter.breaker.operate(CONNECTED, NOON + timedelta(hours=6))
        after = meter.true(register, NOON + timedelta(hours=7))
        passed = register.passed(NOON + timedelta(hours=7)) - register.passed(NOON + timedelta(hours=6))
        assert after == before + passed
        assert meter.true(register, NOON - timedelta(hours=1)) < before

    def test_keeps_one_open_period_when_disconnected_twice(self, meters: list[Meter]) -> None:
        breaker = meters[0].breaker
        assert breaker is not None
        breaker.operate(DISCONNECTED, NOON)
        breaker.operate(DISCONNECTED, NOON + timedelta(hours=1))
        assert breaker.open_periods == [(NOON, None)]
        assert breaker.switched_at == NOON + timedelta(hours=1)

    def test_tells_only_the_registers_collected(self, meters: list[Meter]) -> None:
        meter = meters[1]
        meter.provisioned_registers = [{"obis": "1-0:1.8.2*255"}]
        assert [reading["obis"] for reading in meter.readings(NOON, "noon")] == ["1-0:1.8.2*255"]


class TestMidnight:
    @pytest.mark.parametrize(
        ("day", "hours"),
        [
            pytest.param(date(2026, 3, 28), 24, id="ordinary"),
            pytest.param(date(2026, 3, 29), 23, id="clocks-forward"),
            pytest.param(date(2026, 10, 25), 25, id="clocks-back"),
        ],
    )
    def test_bounds_a_day_of_its_hours(self, day: date, hours: int) -> None:
        assert midnight(day + timedelta(days=1), BERLIN) - midnight(day, BERLIN) == timedelta(hours=hours)
