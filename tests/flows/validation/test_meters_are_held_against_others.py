"""A meter's day is held against the channel beside it, the meter that checks it and meters that are alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.flows.validation.street import ACTIVE, DAY, ENERGY, OVER, REACTIVE, Street, at_hour, device_of

REACTIVE_ENERGY = "1-0:3.8.0*255"
CHECKED = f"""
similar_groups = []
temperature_stations = []
[[check_meters]]
name = "station"
main = "{device_of(1)}"
check = "{device_of(2)}"
"""


def rule(name: str, **limits: float | bool) -> str:
    stated = "".join(f", {limit} = {str(value).lower()}" for limit, value in limits.items())
    return f'{{ name = "{name}", severity = "issue"{stated} }}'


class TestTheChannelBesideIt:
    @pytest.mark.parametrize(
        ("reactive", "is_flagged"), [("0.075", False), ("0.076", True)], ids=["power factor 0.8", "just below"]
    )
    def test_active_energy_with_too_much_reactive(
        self, street: Callable[..., Street], reactive: str, is_flagged: bool
    ) -> None:
        made = street(rules=rule("reactive_energy", least_power_factor=0.8))
        made.meter(1, ENERGY, REACTIVE_ENERGY)
        made.tell(1, [reactive] * 96, obis=REACTIVE, unit="kvarh")
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1).startswith("reactive_energy: the power factor of the day is 0.80") is is_flagged

    def test_a_day_without_its_reactive_energy_is_told_of_when_it_is_over(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("sibling"))
        made.meter(1, ENERGY, REACTIVE_ENERGY)
        made.tell(1, ["0.1"] * 96)
        made.tell(1, ["0.05"] * 95, obis=REACTIVE, unit="kvarh")
        made.work()
        assert made.note(1) == ""  # it may still come
        made.work(at=OVER)
        assert made.note(1) == "sibling: 1 intervals lack their reactive (active) sibling, allowed are 0"

    def test_reactive_energy_that_came_later_is_in_time(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("sibling"))
        made.meter(1, ENERGY, REACTIVE_ENERGY)
        made.tell(1, ["0.1"] * 96)
        made.work()
        made.tell(1, ["0.05"] * 96, obis=REACTIVE, unit="kvarh")
        made.work(at=OVER)
        assert made.note(1) == ""

    @pytest.mark.parametrize("registers", [(ENERGY,), ()], ids=["by its registers", "told of nothing"])
    def test_a_meter_of_active_energy_alone_lacks_nothing(
        self, street: Callable[..., Street], registers: tuple[str, ...]
    ) -> None:
        made = street(rules=rule("sibling"))
        made.meter(1, *registers)
        made.tell(1, ["0.1"] * 96)
        made.work(at=OVER)
        assert made.note(1) == ""

    def test_a_meter_that_never_told_its_reactive_energy_lacks_it(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("sibling"))
        made.meter(1, ENERGY, REACTIVE_ENERGY)
        made.tell(1, ["0.1"] * 96)
        made.work()
        made.work(at=OVER)
        assert made.note(1).startswith("sibling: 96 intervals")


class TestTheMeterThatChecksIt:
    @pytest.mark.parametrize(("check", "is_flagged"), [("0.102", False), ("0.103", True)], ids=["2 %", "above"])
    def test_both_count_alike(self, street: Callable[..., Street], check: str, is_flagged: bool) -> None:
        made = street(rules=rule("check_meter", percent=2), tables=CHECKED)
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, [check] * 96)
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1).startswith("check_meter: main and check meter are") is is_flagged
        assert made.note(2) == ""  # nobody checks the check meter

    def test_it_may_count_in_hours_and_another_unit(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("check_meter", percent=0), tables=CHECKED)
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, ["400"] * 24, minutes=60, unit="Wh")
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1) == ""
        made.tell(1, ["0.1"] * 95 + ["0.1001"])
        made.work()
        assert "are 0.0001 apart, allowed are 0" in made.note(1)

    def test_its_values_come_later(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("check_meter", percent=2), tables=CHECKED)
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, ["0.1"], day=DAY - timedelta(days=1))  # it has a channel
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1) == ""
        made.tell(2, ["0.2"] * 96)
        made.work(at=OVER)
        assert made.note(1).startswith("check_meter:")

    def test_its_values_stand_in_for_those_missing(self, street: Callable[..., Street]) -> None:
        made = street(methods='{ name = "check_meter", ratio = 1.02 }', tables=CHECKED)
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, ["0.2"] * 96)
        made.tell(1, ["0.1"] * 90 + [None] * 6)
        made.work(at=OVER)
        assert made.kwh(1) == [Decimal("0.1")] * 90 + [Decimal("0.204")] * 6
        assert made.methods(1) == ["check_meter"]

    def test_what_its_head_end_estimated_stands_in_for_nothing(self, street: Callable[..., Street]) -> None:
        made = street(methods='{ name = "check_meter" }', tables=CHECKED)
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, ["0.2"] * 96, quality=[None] * 95 + ["2.8.0"])
        made.tell(1, ["0.1"] * 94 + [None] * 2)
        made.work(at=OVER)
        assert made.kwh(1)[93:] == [Decimal("0.1"), Decimal("0.2"), None]

    @pytest.mark.parametrize(
        ("more", "is_flagged"),
        [
            ("valid_from = 2026-02-11", True),
            ("valid_from = 2026-02-12", False),
            ("valid_to = 2026-02-11", False),
            ('sender_system = "P12"', False),
            (f'reading_type = "{REACTIVE}"', False),
            (f'reading_type = "{ACTIVE}"\ncheck_reading_type = "{ACTIVE}"', True),
            (f'reading_type = "{ACTIVE}"\ncheck_reading_type = "{REACTIVE}"', False),
        ],
    )
    def test_a_row_states_when_and_what(self, street: Callable[..., Street], more: str, is_flagged: bool) -> None:
        made = street(rules=rule("check_meter"), tables=f"{CHECKED}{more}\n")
        made.meter(1, ENERGY)
        made.meter(2, ENERGY)
        made.tell(2, ["0.2"] * 96)
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert bool(made.note(1)) is is_flagged


class TestMetersThatAreAlike:
    @pytest.mark.parametrize(("usage", "is_flagged"), [("0.3", False), ("0.31", True)], ids=["200 %", "above"])
    def test_of_one_area(self, street: Callable[..., Street], usage: str, is_flagged: bool) -> None:
        made = street(rules=rule("dynamic_comparison", percent=200))
        for number, value in ((2, "0.05"), (3, "0.1"), (4, "0.15")):
            made.meter(number, ENERGY, postal_code="10115")
            made.tell(number, [value] * 96)
        made.meter(5, ENERGY, postal_code="10117")
        made.tell(5, ["9"] * 96)
        made.meter(1, ENERGY, postal_code="10115")
        made.work()
        made.tell(1, [usage] * 96)
        made.work()
        assert made.note(1).startswith("dynamic_comparison: the usage is 210 % away") is is_flagged

    @pytest.mark.parametrize(("least", "is_flagged"), [("2", True), ("3", False)])
    def test_are_some_at_least(self, street: Callable[..., Street], least: str, is_flagged: bool) -> None:
        made = street(rules=rule("dynamic_comparison", percent=200), MDUS_VEE__SIMILAR_LEAST=least)
        for number in (2, 3):
            made.meter(number, ENERGY, postal_code="10115")
            made.tell(number, ["0.1"] * 96)
        made.meter(1, ENERGY, postal_code="10115")
        made.tell(1, ["1"] * 96)
        made.work()
        assert bool(made.note(1)) is is_flagged

    def test_are_the_others_of_its_group_where_it_stands_in_one(self, street: Callable[..., Street]) -> None:
        group = ", ".join(f'"{device_of(number)}"' for number in (1, 2, 3))
        made = street(
            rules=rule("dynamic_comparison", percent=50),
            tables=f"""
check_meters = []
temperature_stations = []
[[similar_groups]]
name = "bakeries"
devices = [{group}]
""",
            MDUS_VEE__SIMILAR_LEAST="2",
        )
        for number, value in ((2, "2"), (3, "2"), (4, "0.1"), (5, "0.1"), (6, "0.1")):
            made.meter(number, ENERGY, postal_code="10115")
            made.tell(number, [value] * 96)
        made.meter(1, ENERGY, postal_code="10115")
        made.tell(1, ["2"] * 96)
        made.work()
        assert [made.note(number) for number in range(1, 7)] == [""] * 6  # 4, 5, 6 are alike, and so are 1, 2, 3
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1).startswith("dynamic_comparison:")

    def test_their_shape_shares_out_what_the_register_moved(self, street: Callable[..., Street]) -> None:
        made = street(methods='{ name = "intervals_from_register", profiles = ["similar"] }')
        for number in (2, 3, 4):
            made.meter(number, ENERGY, postal_code="10115")
            made.tell(number, ["0.1"] * 94 + ["0.2", "0.6"])
        made.meter(1, ENERGY, postal_code="10115")
        made.read(1, at_hour(0), "100.00")
        made.read(1, at_hour(24), "113.40")
        made.tell(1, ["0.1"] * 94 + [None] * 2)
        made.work(at=OVER)
        assert made.kwh(1)[94:] == [Decimal("1"), Decimal("3")]
        assert made.methods(1) == ["intervals_from_register"]

    def test_move_with_the_meter(self, street: Callable[..., Street]) -> None:
        """A meter that came to the area after the day is no neighbour of it."""
        made = street(rules=rule("dynamic_comparison", percent=200), MDUS_VEE__SIMILAR_LEAST="1")
        made.meter(2, ENERGY, postal_code="10115", valid_from=date(2026, 2, 12))
        made.tell(2, ["0.1"] * 96)
        made.meter(1, ENERGY, postal_code="10115")
        made.tell(1, ["1"] * 96)
        made.work()
        assert made.note(1) == ""


class TestStatements:
    """However many meters are looked at, the statements are the same."""

    @pytest.mark.parametrize(
        ("name", "more"),
        [("reactive_energy", 0), ("sibling", 0), ("check_meter", 0), ("dynamic_comparison", 0)],
    )
    def test_are_bounded(self, street: Callable[..., Street], name: str, more: int) -> None:
        numbers = range(1, 41, 2)
        pairs = "\n".join(
            f'[[check_meters]]\nname = "s{number}"\nmain = "{device_of(number)}"\ncheck = "{device_of(number + 1)}"'
            for number in numbers
        )
        made = street(rules=rule(name), tables=f"similar_groups = []\ntemperature_stations = []\n{pairs}\n")
        for number in range(1, 43):
            made.meter(number, ENERGY, REACTIVE_ENERGY, postal_code=f"1011{number % 3}")
            made.tell(number, ["0.05"] * 96, obis=REACTIVE, unit="kvarh")
        counted = []
        for some in ((1, 2), range(3, 43)):
            for number in some:
                made.tell(number, ["0.1"] * 96)
            counted.append(len(made.statements()))
        assert counted[1] - counted[0] <= more

    def test_a_set_that_asks_for_nothing_asks_the_database_for_nothing(self, street: Callable[..., Street]) -> None:
        made = street(rules=rule("missing_intervals"), tables=CHECKED)
        made.meter(1, ENERGY, postal_code="10115")
        made.tell(1, ["0.1"] * 96)
        seen = " ".join(made.statements())
        for table in ("device_location", "day_temperature", "meter_reading", "end_device_status"):
            assert table not in seen
        assert made.final(1, obis=ACTIVE).present.all()
