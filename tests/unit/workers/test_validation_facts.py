"""What rules of validation are told is what the tables say, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent, EventState
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage import validation
from mdus.vee.days import Fact
from mdus.workers.validation_facts import Facts
from mdus.workers.validation_registers import Target
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL, Validating


class TestFacts:
    def facts(self, meter: Validating, *wanted: Fact) -> dict[Fact, Any]:
        with meter.database.begin() as uow:
            looks = validation.due(uow.connection, now=END + timedelta(days=1), limit=10)
            targets = [Target(look=look, grid=CHANNEL.day(look.day), told=None) for look in looks]
            assert targets
            facts = Facts(uow, targets, policy=TimeSeriesPolicy.of(meter.settings))
            return {fact: known[0] for fact, known in facts.of(frozenset(wanted)).items()}

    def test_a_supply_that_failed_is_an_outage_until_it_came_back(self, meter: Validating) -> None:
        start = CHANNEL.day(DAY).start
        with meter.database.begin() as uow:
            uow.save(
                [
                    EndDeviceEvent(
                        sender_system="P11",
                        event_id=f"event {number}",
                        device_id=CHANNEL.device_id,
                        event_type=kind,
                        at=start + timedelta(minutes=minutes),
                        told_at=END,
                        source="city",
                        area="city",
                        state=EventState.TOLD,
                    )
                    for number, (kind, minutes) in enumerate([("3.26.0.85", 20), ("3.26.0.216", 61)])
                ]
            )
        meter.tell(FULL)
        outage = self.facts(meter, Fact.OUTAGE)[Fact.OUTAGE]
        assert np.flatnonzero(outage).tolist() == [1, 2, 3, 4]  # failed at 00:20, back at 01:01

    def test_time_of_use_registers_move_together_what_the_total_moves(self, meter: Validating) -> None:
        meter.register()
        with meter.database.begin() as uow:
            [total] = uow.load(Register, ("device_id",), [(CHANNEL.device_id,)])
            tariffs = [
                replace(total, measurement_task_id=f"1{tariff}", reading_type=f"1-0:1.8.{tariff}*255")
                for tariff in (1, 2)
            ]
            uow.save([*tariffs, replace(total, measurement_task_id="2", reading_type="1-0:2.8.0*255")])
        grid = CHANNEL.day(DAY)
        for reading_type, before, after in (("1-0:1.8.1*255", "10", "13.5"), ("1-0:1.8.2*255", "99", "100")):
            meter.read(grid.start, before, of=reading_type)
            meter.read(grid.end, after, of=reading_type)
        meter.tell(FULL)
        facts = self.facts(meter, Fact.TIME_OF_USE_ADVANCE, Fact.FEEDS_IN, Fact.FLOWS_BACK, Fact.UNIT_FITS)
        assert int(facts[Fact.TIME_OF_USE_ADVANCE]) == 4500
        assert (bool(facts[Fact.FEEDS_IN]), bool(facts[Fact.FLOWS_BACK]), bool(facts[Fact.UNIT_FITS])) == (
            True,
            False,
            True,
        )

    @pytest.mark.parametrize(
        ("shown", "moved"), [("99999990.00", 20_000), ("50000010.00", -50_000_000_000), ("50000010.01", 49_999_999_990)]
    )
    def test_a_register_that_turned_over_moved_on(self, meter: Validating, shown: str, moved: int) -> None:
        """At 99,999,999.99; less than half its range is believed to have been used, more is a decrease."""
        meter.register()
        grid = CHANNEL.day(DAY)
        with meter.database.begin() as uow:
            [register] = uow.load(Register, ("device_id",), [(CHANNEL.device_id,)])
            uow.save([replace(register, total_digits=10)])
        meter.read(grid.start, shown)
        meter.read(grid.end, "10.00")
        meter.tell(FULL)
        facts = self.facts(meter, Fact.ADVANCE, Fact.REGISTER_STEP)
        assert int(facts[Fact.ADVANCE]) == moved
        assert int(facts[Fact.REGISTER_STEP]) == 10

    def test_what_is_disconnected_since_noon_was_connected_before(self, meter: Validating) -> None:
        meter.register()
        noon = CHANNEL.day(DAY).start + timedelta(hours=12)
        with meter.database.begin() as uow:
            uow.save(
                [
                    EndDeviceStatus(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        switch_state=SwitchState.DISCONNECTED,
                        switch_state_at=noon,
                    )
                ]
            )
        meter.tell(FULL)
        facts = self.facts(meter, Fact.DISCONNECTED, Fact.IN_SERVICE)
        assert np.flatnonzero(facts[Fact.DISCONNECTED]).tolist() == list(range(48, 96))
        assert bool(facts[Fact.IN_SERVICE])
