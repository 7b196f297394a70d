"""What a head end has in its own registry is held against ours: clocks, multipliers, whose meter it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.register import Register
from mdus.storage.registry import note_provisioned
from tests.flows.validation.street import ACTIVE, ENERGY, Street, at_hour, device_of

CLOCK = '{ name = "time_tolerance", severity = "issue", at_most_seconds = 180 }'
MULTIPLIER = '{ name = "multiplier", severity = "issue" }'
DEVICE = '{ name = "unit_and_device", severity = "terminate" }'
NIGHT = at_hour(26)  # when registries are compared, after the day


class TestClocks:
    @pytest.mark.parametrize(
        ("offset", "is_flagged"),
        [("180", False), ("180.5", True), ("-180", False), ("-181", True), (None, False)],
    )
    def test_that_are_off(self, street: Callable[..., Street], offset: str | None, is_flagged: bool) -> None:
        made = street(rules=CLOCK)
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, clock_offset_seconds=offset)
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1).startswith("time_tolerance: the meter's clock is 18") is is_flagged

    @pytest.mark.parametrize(
        ("days", "is_flagged"), [(-2, True), (-3, False), (2, True), (3, False)], ids=lambda value: str(value)
    )
    def test_say_nothing_of_other_days(self, street: Callable[..., Street], days: int, is_flagged: bool) -> None:
        made = street(rules=CLOCK)
        made.meter(1, ENERGY)
        made.registry(1, at=at_hour(12) + timedelta(days=days), clock_offset_seconds="600")
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert bool(made.note(1)) is is_flagged


class TestMultipliers:
    @pytest.mark.parametrize(
        ("told", "known", "is_flagged"),
        [("40", "40", False), ("40.0", "40", False), ("40", "30", True), ("1", None, False), ("40", None, True)],
    )
    def test_of_both_registries_are_equal(
        self, street: Callable[..., Street], told: str, known: str | None, is_flagged: bool
    ) -> None:
        made = street(rules=MULTIPLIER)
        made.meter(1, ENERGY, factor=known)
        made.registry(1, at=NIGHT, registers=[{"obis": ENERGY, "factor": told}])
        made.tell(1, ["0.1"] * 96)
        made.work()
        expected = f"multiplier: the values came with the multiplier 40, the registry has {known or 1}"
        assert made.note(1) == (expected if is_flagged else "")

    def test_that_a_head_end_does_not_tell_are_not_judged(self, street: Callable[..., Street]) -> None:
        made = street(rules=MULTIPLIER)
        made.meter(1, ENERGY, factor="40")
        made.registry(1, at=NIGHT, registers=[{"obis": ENERGY}])
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1) == ""

    @pytest.mark.parametrize(
        ("since", "is_flagged"),
        [(date(2026, 2, 11), True), (date(2026, 2, 12), False)],
        ids=["told the day after", "told on the day it changed"],
    )
    def test_that_change_are_the_head_ends_a_day_later(
        self, street: Callable[..., Street], since: date, is_flagged: bool
    ) -> None:
        made = street(rules=MULTIPLIER)
        made.meter(1, ENERGY, factor="1")
        with made.database.begin() as uow:
            [register] = uow.load(Register, ("device_id",), [(device_of(1),)])
            uow.save([replace(register, valid_to=since), replace(register, valid_from=since, factor=Decimal(40))])
        made.registry(1, at=NIGHT, registers=[{"obis": ENERGY, "factor": "1"}])
        made.tell(1, ["0.1"] * 96, day=since)
        made.work(at=at_hour(49))
        assert bool(made.note(1, since)) is is_flagged

    @pytest.mark.parametrize(
        ("told", "is_flagged"), [("1", False), ("60", False), ("30", True)], ids=["today's", "the next", "of no span"]
    )
    def test_may_be_those_of_a_later_span_already(
        self, street: Callable[..., Street], told: str, is_flagged: bool
    ) -> None:
        made = street(rules=MULTIPLIER)
        made.meter(1, ENERGY, factor="1")
        later = date(2026, 3, 2)
        with made.database.begin() as uow:
            [register] = uow.load(Register, ("device_id",), [(device_of(1),)])
            uow.save([replace(register, valid_to=later), replace(register, valid_from=later, factor=Decimal(60))])
        made.registry(1, at=NIGHT, registers=[{"obis": ENERGY, "factor": told}])
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert bool(made.note(1)) is is_flagged

    @pytest.mark.parametrize("counts_first", [True, False], ids=["counting register first", "interval register first"])
    @pytest.mark.parametrize(
        ("counting", "interval", "expected"),
        [
            pytest.param("40", "20", "", id="both ours"),
            pytest.param("30", "20", "", id="another of the counting register"),
            pytest.param("40", "40", "multiplier 40, the registry has 20", id="another of the interval register"),
            pytest.param("20", "30", "multiplier 30, the registry has 20", id="another of both"),
        ],
    )
    def test_are_those_of_the_interval_register_where_there_is_one(
        self, street: Callable[..., Street], counting: str, interval: str, expected: str, counts_first: bool
    ) -> None:
        """As billing multiplies by it."""
        made = street(rules=MULTIPLIER)
        made.meter(1, *((ENERGY, ACTIVE) if counts_first else (ACTIVE, ENERGY)))
        with made.database.begin() as uow:
            registers = uow.load(Register, ("device_id",), [(device_of(1),)])
            factors = {ENERGY: Decimal(40), ACTIVE: Decimal(20)}
            uow.save([replace(each, factor=factors[each.reading_type]) for each in registers])
        told = [{"obis": ENERGY, "factor": counting}, {"obis": ACTIVE, "factor": interval}]
        made.registry(1, at=NIGHT, registers=told)
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert expected in made.note(1)
        assert bool(made.note(1)) is bool(expected)


class TestWhoseMeterItIs:
    @pytest.mark.parametrize(
        ("told", "is_flagged"),
        [(device_of(1), False), ("1", False), (device_of(9), True), ("10", True), ("x1", True), (None, False)],
        ids=["ours", "ours without zeros", "another device", "another without zeros", "another name", "nobody's"],
    )
    def test_is_the_same_in_both_registries(
        self, street: Callable[..., Street], told: str | None, is_flagged: bool
    ) -> None:
        made = street(rules=DEVICE)
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, device_id=told)
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1).startswith("unit_and_device: the values' unit or device is not that") is is_flagged
        assert made.final(1).present.any() is not is_flagged  # none of the values is fit to bill

    def test_is_not_known_any_more_once_the_meter_was_provisioned_again(self, street: Callable[..., Street]) -> None:
        made = street(rules=f"{DEVICE}, {MULTIPLIER}")
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, device_id=device_of(9), registers=[{"obis": ENERGY, "factor": "40"}])
        with made.database.begin() as uow:
            [command] = uow.load(Command, ("sender_system", "device_id"), [("P11", device_of(1))])
            assert command.kind is CommandKind.PROVISION  # the nightly comparison mends it
            note_provisioned(uow.connection, {("P11", device_of(1)): NIGHT + timedelta(minutes=1)})
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert made.note(1) == ""

    @pytest.mark.parametrize(
        ("days", "is_flagged"), [(-40, True), (2, True), (3, False)], ids=["40 days before", "2 days after", "3 after"]
    )
    def test_says_nothing_of_days_long_before(self, street: Callable[..., Street], days: int, is_flagged: bool) -> None:
        made = street(rules=DEVICE)
        made.meter(1, ENERGY)
        made.registry(1, at=at_hour(12) + timedelta(days=days), device_id=device_of(9))
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert bool(made.note(1)) is is_flagged
        assert made.final(1).present.any() is not is_flagged

    @pytest.mark.parametrize("nights", [0, 6], ids=["the night after", "nights later"])
    def test_is_looked_at_again_once_the_meter_is_provisioned(self, street: Callable[..., Street], nights: int) -> None:
        made = street(rules=DEVICE)
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, device_id=device_of(9))
        made.tell(1, ["0.1"] * 96)
        made.work()
        assert not made.final(1).present.any()
        if nights:
            made.registry(1, at=NIGHT + timedelta(days=nights), device_id=device_of(9))

        made.provision(at=NIGHT + timedelta(days=nights, minutes=1))
        made.work()

        assert made.note(1) == ""
        assert made.final(1).present.all()

    @pytest.mark.parametrize(
        ("told", "is_mended"), [("1", True), (device_of(8), False), (None, True)], ids=["ours", "another", "nobody's"]
    )
    def test_is_looked_at_again_once_the_head_end_has_mended_it_itself(
        self, street: Callable[..., Street], told: str | None, is_mended: bool
    ) -> None:
        made = street(rules=DEVICE)
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, device_id=device_of(9))
        made.tell(1, ["0.1"] * 96)
        made.work()
        made.registry(1, at=NIGHT + timedelta(days=1), device_id=told)
        made.work(at=NIGHT + timedelta(days=1, minutes=1))
        assert bool(made.note(1)) is not is_mended
        assert made.final(1).present.all() == is_mended

    def test_looks_at_no_other_day_again(self, street: Callable[..., Street]) -> None:
        made = street(rules=DEVICE)
        for number in (1, 2):
            made.meter(number, ENERGY)
            made.registry(number, at=NIGHT, device_id=device_of(number), registers=[])
            made.tell(number, ["0.1"] * 96)
        made.registry(1, at=NIGHT + timedelta(days=6), device_id=device_of(9), registers=[])
        made.work()
        before = made.looks()

        made.provision(at=NIGHT + timedelta(days=6, minutes=1))

        assert made.looks() == before


class TestTheRecord:
    def test_is_kept_beside_what_else_is_known(self, street: Callable[..., Street]) -> None:
        made = street()
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, clock_offset_seconds="-1.5", registers=[{"obis": ENERGY, "factor": "40"}])
        with made.database.read() as uow:
            [status] = uow.load(EndDeviceStatus, EndDevice.KEY, [("P11", device_of(1))], lock=False)
        assert (status.told_at, status.told_device_id, status.told_factors, status.clock_offset_seconds) == (
            NIGHT,
            device_of(1),
            ((ENERGY, "40"),),
            Decimal("-1.5"),
        )

    def test_of_a_meter_that_is_not_provisioned_says_nothing(self, street: Callable[..., Street]) -> None:
        made = street()
        made.meter(1, ENERGY)
        made.registry(1, at=NIGHT, provisioned=False)
        with made.database.read() as uow:
            [status] = uow.load(EndDeviceStatus, EndDevice.KEY, [("P11", device_of(1))], lock=False)
        assert status.told_at is None

    def test_costs_the_default_set_no_statement(self, street: Callable[..., Street]) -> None:
        """What is known of a device from the field is loaded once, for all rules that ask for some of it."""
        made = street(
            rules=f'{CLOCK}, {MULTIPLIER}, {DEVICE}, {{ name = "usage_while_disconnected", severity = "issue" }}'
        )
        for number in (1, 2):
            made.meter(number, ENERGY)
            made.registry(number, at=NIGHT, clock_offset_seconds="1")
            made.tell(number, ["0.1"] * 96)
        seen = made.statements()
        assert sum("end_device_status" in each for each in seen) == 1
        assert sum("FROM register" in each for each in seen) == 1

    def test_of_other_multipliers_costs_one(self, street: Callable[..., Street]) -> None:
        made = street(rules=MULTIPLIER)
        for number in (1, 2, 3):
            made.meter(number, ENERGY)
            made.registry(number, at=NIGHT, registers=[{"obis": ENERGY, "factor": "40"}])
            made.tell(number, ["0.1"] * 96)
        seen = made.statements()
        assert sum("FROM register" in each for each in seen) == 2
        assert all(made.note(number) for number in (1, 2, 3))

    def test_keeps_multipliers_that_are_not_ours(self, street: Callable[..., Street]) -> None:
        made = street()
        made.meter(1, ENERGY, "1-0:2.8.0*255", factor="40")
        registers = [{"obis": ENERGY, "factor": "40.0"}, {"obis": "1-0:2.8.0*255", "factor": "4"}]
        made.registry(1, at=NIGHT, registers=[*registers, {"obis": ACTIVE, "factor": "1"}])
        with made.database.read() as uow:
            [status] = uow.load(EndDeviceStatus, EndDevice.KEY, [("P11", device_of(1))], lock=False)
        assert status.told_factors == (("1-0:2.8.0*255", "4"), (ACTIVE, "1"))
