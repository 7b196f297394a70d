"""Connection orders that are refused before anything is begun, decided without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.domain.capability import Capabilities, CapabilityRow
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlStatus
from mdus.messaging.outcome import Await, Done
from tests.unit.services.connection_orders import METERS, Store, awaited, codes, meter, order, status, told
from tests.unit.services.device_initialization import NOW, origin

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


class TestRefusedAtOnce:
    @pytest.mark.parametrize(
        ("age", "refused"),
        [
            pytest.param(HOUR - TICK, False, id="just inside"),
            pytest.param(HOUR, True, id="when it expires"),
            pytest.param(72 * HOUR, True, id="over a weekend"),
        ],
    )
    def test_a_disconnection_planned_too_long_ago(self, age: timedelta, refused: bool) -> None:
        outcome = Store(meter(), status()).decide(order(planned_at=NOW - age))

        if refused:
            assert codes(told(outcome)) == ["311(MDUS)"]
        else:
            assert isinstance(outcome, Await)

    def test_not_a_reconnection_planned_long_ago(self) -> None:
        [command] = awaited(Store(meter(), status()).decide(order(category_code="2", planned_at=NOW - 72 * HOUR)))

        assert command.expires_at == NOW + HOUR

    @pytest.mark.parametrize("category", ["1", "2"])
    def test_test_data(self, category: str) -> None:
        store = Store(meter(), status())

        outcome = store.decide(order(category_code=category, origin=origin(item_id=1, test_data=True)))

        assert codes(told(outcome)) == ["310(MDUS)"]
        assert store.commands() == []

    @pytest.mark.parametrize(
        ("device", "type_id"),
        [
            pytest.param(meter(ams_id="AM02"), "111(MDUS)", id="another metering system"),
            pytest.param(meter(valid_from=date(2026, 3, 29)), "316(MDUS)", id="not yet in service"),
            pytest.param(meter(valid_to=date(2026, 3, 28)), "316(MDUS)", id="no longer in service"),
            pytest.param(meter(head_end=None), "317(MDUS)", id="no head end"),
        ],
    )
    def test_a_device_that_cannot_be_switched(self, device: Any, type_id: str) -> None:
        store = Store(device, status())

        assert codes(told(store.decide(order()))) == [type_id]
        assert store.commands() == []

    def test_not_a_device_on_its_last_day_in_service(self) -> None:
        assert isinstance(Store(meter(valid_to=date(2026, 3, 29)), status()).decide(order()), Await)

    @pytest.mark.parametrize(
        ("has_breaker", "refused"), [(False, True), (True, False), (None, False)], ids=["none", "one", "unknown"]
    )
    def test_a_meter_without_breaker(self, has_breaker: bool | None, refused: bool) -> None:
        outcome = Store(meter(), status(has_breaker=has_breaker)).decide(order())

        assert isinstance(outcome, Done if refused else Await)

    @pytest.mark.parametrize(("year", "refused"), [(1899, True), (1900, False), (9998, False), (9999, True)], ids=str)
    def test_a_planned_time_beyond_the_calendar(self, year: int, refused: bool) -> None:
        planned_at = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
        store = Store(meter(), status())

        outcome = store.decide(order(category_code="2", planned_at=planned_at))

        assert ("304(MDUS)" in (codes(outcome.result) if isinstance(outcome, Done) else [])) is refused


class TestNotCapable:
    @pytest.mark.parametrize(
        ("lacking", "category", "refused"),
        [
            pytest.param("disconnect", "1", True, id="disconnection of what cannot be disconnected"),
            pytest.param("disconnect", "2", False, id="its reconnection"),
            pytest.param("reconnect", "2", True, id="reconnection of what cannot be reconnected"),
            pytest.param("reconnect", "1", False, id="its disconnection"),
        ],
    )
    def test_is_refused_at_once(self, lacking: str, category: str, refused: bool) -> None:
        matrix = Capabilities(rows=(CapabilityRow.model_validate({"name": "a", lacking: False}),))
        store = Store(matrix, meter(), status())

        outcome = store.decide(order(category_code=category))

        if refused:
            assert codes(told(outcome)) == ["150(MDUS)"]
            assert store.commands() == []
            control = store.control(category=category)
            assert control is not None
            assert (control.status, control.failure_code) == (ControlStatus.FAILED, "NOT_CAPABLE")
        else:
            assert len(awaited(outcome)) == 1

    def test_does_not_hold_back_the_other_devices(self) -> None:
        row = CapabilityRow(name="gas", material_id="GX*", disconnect=False)
        store = Store(
            Capabilities(rows=(row,)),
            meter(METERS[0]),
            meter(METERS[1], material_id="GX10"),
            status(METERS[0]),
            status(METERS[1]),
        )

        assert [command.device_id for command in awaited(store.decide(order(*METERS[:2])))] == [METERS[0]]

    def test_is_told_when_it_turned_out_as_the_switch_was_to_leave(self) -> None:
        store, request = Store(meter(), status()), order()
        [switch] = awaited(store.decide(request))
        store.end(switch, CommandStatus.FAILED, result_code="NOT_CAPABLE", result_text="no longer")

        assert codes(told(store.decide(request))) == ["150(MDUS)"]
        assert store.commands(CommandKind.SWITCH_STATE) == []
