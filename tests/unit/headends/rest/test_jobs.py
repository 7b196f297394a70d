"""The jobs that let meters be limited, control load, take the time and show texts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind
from tests.unit.headends.rest.test_codec import job
from tests.unit.headends.samples import AT, LOAD_EVENT, command


def acting(kind: CommandKind, **parameters: str) -> Command:
    return command(kind, parameters=tuple(parameters.items()) or None)


class TestJob:
    @pytest.mark.parametrize(
        ("order", "members"),
        [
            pytest.param(acting(CommandKind.LIMIT_DEMAND, limit_kw="3.5"), {"limit_kw": "3.5"}, id="a limit"),
            pytest.param(acting(CommandKind.LIMIT_DEMAND), {"limit_kw": None}, id="no limit"),
            pytest.param(
                acting(CommandKind.CONTROL_LOAD, **LOAD_EVENT),
                {
                    "event": "peak",
                    "action": "schedule",
                    "start": "2026-03-29T16:00:00Z",
                    "minutes": 90,
                    "percent": 40,
                },
                id="an event",
            ),
            pytest.param(acting(CommandKind.SHOW_TEXT, text="hello"), {"text": "hello"}, id="a text"),
            pytest.param(acting(CommandKind.SET_TIME), {}, id="the time"),
        ],
    )
    def test_says_what_the_meter_is_to_do(self, order: Command, members: dict[str, Any]) -> None:
        written = job(order)
        assert written["kind"] == order.kind.value
        assert written["devices"] == [{"serial": "0000001234", "reference": "cmd-77", **members}]

    @pytest.mark.parametrize("lacking", sorted(LOAD_EVENT))
    def test_refuses_an_event_that_does_not_say_all(self, lacking: str) -> None:
        some = {name: text for name, text in LOAD_EVENT.items() if name != lacking}
        with pytest.raises(ValueError, match=f"says no {lacking}"):
            job(acting(CommandKind.CONTROL_LOAD, **some))

    def test_refuses_to_show_no_text(self) -> None:
        with pytest.raises(ValueError, match="says no text"):
            job(acting(CommandKind.SHOW_TEXT))

    @pytest.mark.parametrize(
        ("kind", "hours"),
        [(CommandKind.LIMIT_DEMAND, 1), (CommandKind.SET_TIME, 5)],
        ids=["the first, where one too late does harm", "the last, where it does not"],
    )
    def test_expires_with(self, kind: CommandKind, hours: int) -> None:
        later = command(kind, expires_at=AT + timedelta(hours=5))
        assert job(later, command(kind))["expires_at"] == f"2026-03-29T0{1 + hours}:00:04Z"
