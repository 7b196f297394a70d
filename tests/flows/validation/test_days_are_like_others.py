"""Holidays are like holidays, days like those that were as warm, and values hang on a register that was read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mdus.domain.temperature import DayTemperature
from tests.flows.validation.street import DAY, ENERGY, OVER, Street, at_hour

CHRISTMAS = date(2026, 12, 25)  # a Friday
GAP = ["0.1"] * 88 + [None] * 8
HOLIDAYS = '{ name = "holiday_average" }, { name = "like_day_average" }'
STATIONS = """
check_meters = []
similar_groups = []
[[temperature_stations]]
name = "berlin"
station = "10384"
areas = ["10*"]
[[temperature_stations]]
name = "elsewhere"
station = "10000"
areas = ["*"]
"""


def flat(value: str) -> list[str | None]:
    return [value] * 96


def known(made: Street, values: dict[date, str]) -> None:
    """Let the meter have measured days, and have them validated."""
    for day, value in sorted(values.items()):
        made.tell(1, flat(value), day=day)
    made.work(at=at_hour(0, max(values)) + timedelta(days=3))


class TestHolidays:
    @pytest.mark.parametrize(
        ("listed", "estimate", "methods"),
        [
            # Unity in October, Whit Monday in May, and the last Sunday: one by the holidays of billing.
            ("germany", "0.5", ["holiday_average"]),
            ("", "0.7", ["like_day_average"]),  # a Friday like another
        ],
        ids=["by the list of billing", "without a list"],
    )
    def test_are_like_holidays(
        self, street: Callable[..., Street], listed: str, estimate: str, methods: list[str]
    ) -> None:
        made = street(methods=HOLIDAYS, MDUS_VEE__HOLIDAYS=listed)
        made.meter(1, ENERGY)
        known(
            made,
            {
                date(2026, 5, 25): "0.3",
                date(2026, 10, 3): "0.5",
                CHRISTMAS - timedelta(days=14): "0.7",
                CHRISTMAS - timedelta(days=7): "0.7",
                CHRISTMAS - timedelta(days=5): "0.7",
            },
        )
        made.tell(1, GAP, day=CHRISTMAS)
        made.work(at=at_hour(72, CHRISTMAS))
        assert made.kwh(1, CHRISTMAS)[88:] == [Decimal(estimate)] * 8
        assert made.methods(1, CHRISTMAS) == methods

    def test_are_no_weekday_for_other_days(self, street: Callable[..., Street]) -> None:
        made = street(methods=HOLIDAYS)
        made.meter(1, ENERGY)
        year = CHRISTMAS + timedelta(days=7)  # New Year is a holiday, the Friday after is none
        known(made, {CHRISTMAS: "0.9", year: "0.9", CHRISTMAS - timedelta(days=7): "0.2"})
        friday = year + timedelta(days=7)
        made.tell(1, GAP, day=friday)
        made.work(at=at_hour(72, friday))
        assert made.kwh(1, friday)[88:] == [Decimal("0.2")] * 8

    def test_that_are_estimated_themselves_are_left_out(self, street: Callable[..., Street]) -> None:
        made = street(methods='{ name = "holiday_average", at_least = 1 }, { name = "value_fill", value = 5 }')
        made.meter(1, ENERGY)
        made.tell(1, flat("0.3"), day=date(2026, 5, 25))
        made.tell(1, ["0.4"] * 80 + [None] * 16, day=date(2026, 5, 14))  # Ascension: the rest is filled
        made.work(at=at_hour(72, date(2026, 5, 25)))
        assert made.final(1, date(2026, 5, 14)).is_complete
        made.tell(1, GAP, day=date(2026, 10, 3))
        made.work(at=at_hour(72, date(2026, 10, 3)))
        assert made.kwh(1, date(2026, 10, 3))[88:] == [Decimal("0.3")] * 8

    def test_cost_no_statement_on_other_days(self, street: Callable[..., Street]) -> None:
        counted = []
        for methods in ('{ name = "like_day_average" }', HOLIDAYS):
            made = street(methods=methods)
            number = len(counted) + 1
            made.meter(number, ENERGY)
            made.tell(number, GAP)
            counted.append(len(made.statements(at=OVER)))
        assert counted[0] == counted[1]


class TestTemperatures:
    @pytest.mark.parametrize(
        ("postal_code", "estimate"),
        [("10115", "0.4"), ("20095", "0.6"), (None, "0.6")],
        ids=["of its station", "of the station for all", "of no known area"],
    )
    def test_name_the_day_that_stands_in(
        self, street: Callable[..., Street], postal_code: str | None, estimate: str
    ) -> None:
        made = street(methods='{ name = "proxy_day" }', tables=STATIONS)
        made.meter(1, ENERGY, postal_code=postal_code)
        known(made, {DAY - timedelta(days=1): "0.4", DAY - timedelta(days=2): "0.6"})
        store(made, "10384", {DAY: "1.0", DAY - timedelta(days=1): "1.5", DAY - timedelta(days=2): "3.5"})
        store(made, "10000", {DAY: "1.0", DAY - timedelta(days=1): "3.5", DAY - timedelta(days=2): "1.5"})
        made.tell(1, GAP)
        made.work(at=OVER + timedelta(days=1))
        assert made.kwh(1)[88:] == [Decimal(estimate)] * 8
        assert made.methods(1) == ["proxy_day"]

    @pytest.mark.parametrize(("degrees", "is_filled"), [("4.0", True), ("4.1", False)], ids=["3 degrees", "more"])
    def test_are_near_enough(self, street: Callable[..., Street], degrees: str, is_filled: bool) -> None:
        made = street(methods='{ name = "proxy_day" }', tables=STATIONS)
        made.meter(1, ENERGY, postal_code="10115")
        known(made, {DAY - timedelta(days=1): "0.4"})
        store(made, "10384", {DAY: "1.0", DAY - timedelta(days=1): degrees})
        made.tell(1, GAP)
        made.work(at=OVER)
        assert made.final(1).is_complete is is_filled


def store(made: Street, station: str, degrees: dict[date, str]) -> None:
    with made.database.begin() as uow:
        uow.save([DayTemperature(station=station, day=day, degrees=Decimal(each)) for day, each in degrees.items()])


class TestReferences:
    @pytest.mark.parametrize(
        ("hours", "is_flagged"),
        [(24 - 62 * 24, False), (24 - 62 * 24 - 1, True), (24, False), (25, True)],
        ids=["62 days before", "an hour more", "at the end of the day", "after it"],
    )
    def test_are_readings_of_the_register(self, street: Callable[..., Street], hours: int, is_flagged: bool) -> None:
        made = street(rules='{ name = "no_reference_register", severity = "issue", at_most = 62 }')
        made.meter(1, ENERGY, valid_from=date(2025, 1, 1))
        made.read(1, at_hour(hours), "100.00")
        made.tell(1, flat("0.1"))
        made.work()
        assert made.note(1).startswith("no_reference_register: the register was last read") is is_flagged

    def test_of_a_register_never_read_there_are_none(self, street: Callable[..., Street]) -> None:
        made = street(rules='{ name = "no_reference_register", severity = "issue" }')
        made.meter(1, ENERGY)
        made.tell(1, flat("0.1"))
        made.work()
        assert made.note(1) == "no_reference_register: the register was last read inf days before, allowed are 62"

    def test_of_a_channel_without_a_register_nothing_is_known(self, street: Callable[..., Street]) -> None:
        made = street(rules='{ name = "no_reference_register", severity = "issue" }')
        made.meter(1, "1-0:2.8.0*255")
        made.tell(1, flat("0.1"))
        made.work()
        assert made.note(1) == ""


class TestReadingsWithinTheDay:
    @pytest.mark.parametrize(
        ("hours", "estimate"), [((12, 24), "0.25"), ((22.5, 23.5), None), ((22, 22), None)], ids=["hold", "miss", "one"]
    )
    def test_say_what_is_missing_between_them(
        self, street: Callable[..., Street], hours: tuple[float, float], estimate: str | None
    ) -> None:
        made = street(methods='{ name = "equal_distribution" }')
        made.meter(1, ENERGY)
        for hour, shown in zip(hours, ("100.00", "106.00"), strict=True):
            made.read(1, at_hour(hour), shown)
        made.tell(1, GAP)
        made.work(at=OVER)
        # 6 kWh in twelve hours: 40 quarters of an hour have 4 of them, the rest is that of eight
        assert made.kwh(1)[88:] == [None if estimate is None else Decimal(estimate)] * 8


def test_a_day_lasts_a_day(street: Callable[..., Street]) -> None:
    """SPAN_DAYS of a day is 1: usage is compared a day."""
    made = street(rules='{ name = "historical_maximum", severity = "issue", percent = 100, least_days = 1 }')
    made.meter(1, ENERGY)
    known(made, {DAY - timedelta(days=1): "0.1"})
    made.tell(1, flat("0.2"))
    made.work()
    assert made.note(1) == ""
    made.tell(1, [*flat("0.2")[1:], "0.2001"])
    made.work()
    assert made.note(1).startswith("historical_maximum:")
