"""A meter tells of its demand limit when nobody waits for it any more: what is in force is known, no order changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.command import HEAD_END_DELIVERY
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, START
from tests.flows.rest.test_clients_order import only_item
from tests.flows.rest.test_demand_is_limited import END, LIMIT, NO_LIMIT, given, shown, told

UNTIL_END = {"valid_until": END.isoformat()}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides, role=Role.OPERATOR)


def jobs(sides: BothSides) -> list[dict[str, Any]]:
    return [job for job in sides.head_end.submitted if job["kind"] == CommandKind.LIMIT_DEMAND.value]


def tell(sides: BothSides, chosen: Sequence[dict[str, Any]], **result: Any) -> None:
    """Let the head end tell of these jobs, and of no other."""
    for job in jobs(sides):
        job["answered"] = not any(job is each for each in chosen)
    assert sides.answer(CommandKind.LIMIT_DEMAND, **result) == len(chosen)
    for job in chosen:
        job["told"] = True


def confirm(sides: BothSides, **result: Any) -> None:
    """Let the head end answer the one job it has not told of yet, and see what follows."""
    sides.rest()
    [job] = [job for job in jobs(sides) if "told" not in job]
    tell(sides, [job], **result)
    sides.rest()


def limited(sides: BothSides, client: Client, item: dict[str, Any] = LIMIT) -> None:
    client.order("demand-limits", item)
    confirm(sides)
    assert shown(client) is not None


def doubted(sides: BothSides, client: Client, item: dict[str, Any] = LIMIT) -> int:
    """Order something of a meter that is silent until nobody asks it any more; returns the number of the request."""
    number = client.order("demand-limits", item)
    for _ in range(3):
        confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
        sides.clock.move(minutes=1)
    sides.rest()
    assert "It is not known whether the meter took it" in told(client, number)
    return number


def tell_late(sides: BothSides, order: int, *, at: datetime | None = None, **result: Any) -> None:
    """Let the head end tell that an order, by its number among those of limits, was carried out after all."""
    tell(sides, [jobs(sides)[order]], completed_at=(at or sides.clock.now()).isoformat(), **result)
    sides.rest()


def case(sides: BothSides) -> ExceptionCase:
    [one] = sides.all(ExceptionCase)
    assert isinstance(one, ExceptionCase)
    return one


def deliveries(sides: BothSides) -> list[str]:
    return [row.status for row in sides.mdus.rows(HEAD_END_DELIVERY)]


class TestALimitInDoubt:
    @pytest.mark.parametrize("order", [0, 1, 2], ids=["the first attempt", "the second", "the last"])
    def test_is_confirmed_and_ends_as_ordered(self, sides: BothSides, client: Client, order: int) -> None:
        number = doubted(sides, client, LIMIT | UNTIL_END)
        outcome, commands = only_item(client, number), [each.status for each in sides.all(Command)]
        assert (shown(client), case(sides).closed_at) == (None, None)

        sides.clock.move(minutes=10)
        tell_late(sides, order)
        assert Decimal(shown(client)["limit_kw"]) == Decimal("3.5")
        assert datetime.fromisoformat(shown(client)["valid_until"]) == END
        assert case(sides).closed_at == sides.clock.now()
        assert only_item(client, number) == outcome
        assert [each.status for each in sides.all(Command)] == commands
        assert sides.all(EndDeviceEvent) == []

        sides.clock.instant = END
        confirm(sides)
        assert given(sides) == ["3.5"] * 3 + [None]
        assert sides.all(DeviceLimit) == []

    def test_told_once_more_changes_nothing(self, sides: BothSides, client: Client) -> None:
        doubted(sides, client, LIMIT | UNTIL_END)
        tell_late(sides, 2)
        before = sides.all(DeviceLimit), case(sides)
        sides.clock.move(minutes=1)
        tell_late(sides, 1)
        assert (sides.all(DeviceLimit), case(sides)) == before

    def test_told_as_failed_late_stays_in_doubt(self, sides: BothSides, client: Client) -> None:
        doubted(sides, client, LIMIT | UNTIL_END)
        tell_late(sides, 2, status="failed", code="NO_RESPONSE", text="silence")
        [limit] = sides.all(DeviceLimit)
        assert (limit.in_doubt, case(sides).closed_at) == (True, None)

    def test_takes_the_place_of_the_one_there_was(self, sides: BothSides, client: Client) -> None:
        limited(sides, client)
        doubted(sides, client, LIMIT | {"limit_kw": "2"})
        assert len(client.get("demand-limits")["items"]) == 2
        tell_late(sides, 3)
        [one] = client.get("demand-limits")["items"]
        assert (Decimal(one["limit_kw"]), one["in_doubt"], case(sides).closed_at is None) == (2, False, False)

    def test_stays_where_the_meter_says_that_it_came_before_its_end(self, sides: BothSides, client: Client) -> None:
        doubted(sides, client, LIMIT | UNTIL_END)
        sides.clock.instant = END
        confirm(sides)
        sides.clock.move(minutes=5)
        tell_late(sides, 2, at=END - timedelta(hours=1))
        assert sides.all(DeviceLimit) == []
        assert case(sides).closed_at == END
        assert given(sides) == ["3.5"] * 3 + [None]

    def test_taken_after_its_end_is_taken_away_again_at_once(self, sides: BothSides, client: Client) -> None:
        doubted(sides, client, LIMIT | UNTIL_END)
        sides.clock.instant = END
        confirm(sides)
        sides.clock.move(minutes=5)
        tell_late(sides, 2)
        assert given(sides) == ["3.5"] * 3 + [None] * 2
        assert "it is freed again" in case(sides).note
        assert (case(sides).closed_at, shown(client) is None) == (None, False)

        sides.clock.move(seconds=1)
        confirm(sides)
        assert sides.all(DeviceLimit) == []
        assert case(sides).closed_at == sides.clock.now()
        assert given(sides) == ["3.5"] * 3 + [None] * 2

    def test_of_a_meter_that_hangs_there_no_more_says_nothing(self, sides: BothSides, client: Client) -> None:
        doubted(sides, client, LIMIT)
        [device] = sides.all(EndDevice)
        sides.save(replace(device, serial_id="another"))
        tell_late(sides, 2)
        assert (shown(client), deliveries(sides)[-1]) == (None, "done")


class TestWhatTakesALimitAway:
    def test_is_believed_late_by_order_of_a_client(self, sides: BothSides, client: Client) -> None:
        limited(sides, client)
        number = doubted(sides, client, NO_LIMIT)
        outcome = only_item(client, number)
        assert shown(client) is not None
        tell_late(sides, 3)
        assert (sides.all(DeviceLimit), case(sides).closed_at is None) == ([], False)
        assert only_item(client, number) == outcome

    def test_is_believed_late_at_its_end(self, sides: BothSides, client: Client) -> None:
        limited(sides, client, LIMIT | UNTIL_END)
        sides.clock.instant = END
        confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
        sides.clock.move(minutes=1)
        tell_late(sides, 1)
        assert (sides.all(DeviceLimit), case(sides).closed_at) == ([], sides.clock.now())
        sides.clock.move(hours=1)
        sides.rest()
        assert given(sides) == ["3.5", None]


class TestAnOrderThatWasToldAsFailed:
    def test_has_its_limit_taken_away_at_once(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT | UNTIL_END)
        confirm(sides, status="failed", code="NOT_SUPPORTED", text="no limiter")
        outcome = only_item(client, number)
        assert "The meter has not confirmed it" in told(client, number)
        assert sides.all(ExceptionCase) == []

        sides.clock.move(minutes=1)
        tell_late(sides, 0)
        assert "told as failed, but the meter was limited to 3.5 kW" in case(sides).note
        assert (only_item(client, number), given(sides)) == (outcome, ["3.5", None])
        confirm(sides)
        assert sides.all(DeviceLimit) == []
        assert case(sides).closed_at == sides.clock.now()


class TestAnOrderThatIsUndecided:
    def test_is_decided_before_a_late_result_counts(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT | UNTIL_END)
        for _ in range(2):
            confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
            sides.clock.move(minutes=1)
        sides.rest()
        tell(sides, [jobs(sides)[0]])
        sides.readings.turn()
        assert (sides.all(DeviceLimit), deliveries(sides)[-1]) == ([], "unmatched")
        tell(sides, [jobs(sides)[2]], status="failed", code="NO_RESPONSE", text="silence")
        sides.readings.turn()
        assert deliveries(sides)[-2:] == ["unmatched", "done"]

        sides.rest()
        assert "It is not known whether the meter took it" in told(client, number)
        assert Decimal(shown(client)["limit_kw"]) == Decimal("3.5")
        assert set(deliveries(sides)) == {"done"}
        assert case(sides).closed_at is not None

    def test_that_was_not_waited_for_is_confirmed_by_the_result_of_its_command(
        self, sides: BothSides, client: Client
    ) -> None:
        """The command, held up by us, was still open when its order was decided: the result ends it."""
        number = client.order("demand-limits", LIMIT | UNTIL_END)
        sides.decide()
        sides.commands.turn()
        sides.clock.move(hours=2, minutes=2)
        sides.decide()
        outcome = only_item(client, number)
        assert "It is not known whether the meter took it" in told(client, number)
        assert [each.status for each in sides.all(Command)] == [CommandStatus.ACCEPTED]

        tell(sides, jobs(sides))
        sides.readings.turn()
        assert [each.status for each in sides.all(Command)] == [CommandStatus.DONE]
        assert Decimal(shown(client)["limit_kw"]) == Decimal("3.5")
        assert only_item(client, number) == outcome
        assert case(sides).closed_at == sides.clock.now()


def test_a_late_result_waits_for_whoever_sees_to_the_limit(sides: BothSides, client: Client, database_url: str) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    doubted(sides, client, LIMIT | UNTIL_END)
    tell(sides, [jobs(sides)[2]])
    with sides.database.begin() as uow:
        [held] = uow.load(DeviceLimit, EndDevice.KEY, {(SENDER, METER)})
        sides.readings.turn()
        assert held.in_doubt
        assert deliveries(sides)[-1] == "unmatched"
    sides.readings.turn()
    assert deliveries(sides)[-1] == "done"
    [limit] = sides.all(DeviceLimit)
    assert not limit.in_doubt
