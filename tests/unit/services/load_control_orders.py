"""Orders of load control events, and what is known from one decision to the next; without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mdus.domain.command import Command, CommandStatus
from mdus.domain.load_control_event import LoadControlAction, LoadControlEvent, LoadControlStatus
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome
from mdus.services.load_control import Answer, Request, decide
from tests.unit.services.device_initialization import NOW, SENDER, known_device, origin

HOUR = timedelta(hours=1)
METERS = ("000000000000000042", "000000000000000043", "000000000000000044")
ORDERED, SCHEDULED = LoadControlStatus.ORDERED, LoadControlStatus.SCHEDULED
CANCELLED, FAILED = LoadControlStatus.CANCELLED, LoadControlStatus.FAILED
UNCERTAIN = LoadControlStatus.UNCERTAIN


def schedule(*device_ids: str, item_id: int = 7, **facts: Any) -> Request:
    told: dict[str, Any] = {
        "origin": origin(item_id=item_id, client="rest:portal"),
        "event_id": "peak",
        "action": LoadControlAction.SCHEDULE,
        "device_ids": device_ids or METERS[:1],
        "start_at": NOW + HOUR,
        "minutes": 90,
        "percent": 40,
    }
    return Request(**{**told, **facts})


def cancel(*device_ids: str, item_id: int = 8, **facts: Any) -> Request:
    told: dict[str, Any] = {
        "origin": origin(item_id=item_id, client="rest:portal"),
        "event_id": "peak",
        "action": LoadControlAction.CANCEL,
        "device_ids": device_ids,
    }
    return Request(**{**told, **facts})


class Store:
    """What is known from one decision to the next, kept as the inbox and the head-end worker keep it."""

    def __init__(self, *values: Value) -> None:
        meters = [known_device(device_id=each, serial_id=f"S{each}") for each in METERS]
        self.known = Known(meters, values)
        self.now = NOW

    def decide(self, request: Request) -> Outcome:
        outcome = decide(request, self.known, now=self.now)
        self.known.after(outcome)
        return outcome

    def commands(self, item_id: int = 7) -> list[Command]:
        return list(self.known.find(Command, owner_key=str(item_id)))

    def end(self, command: Command, status: CommandStatus = CommandStatus.DONE, **facts: Any) -> None:
        ended = replace(command, status=status, ended_at=self.now, **facts)
        self.known.after(Done(changes=(ended,)))

    def event(self, device_id: str = METERS[0]) -> LoadControlEvent | None:
        return self.known.one(LoadControlEvent, SENDER, "peak", device_id)

    def status(self, device_id: str = METERS[0]) -> LoadControlStatus | None:
        event = self.event(device_id)
        return event and event.status

    def scheduled(self, *device_ids: str) -> None:
        """Have the event stand at devices."""
        request = schedule(*device_ids)
        self.decide(request)
        for command in self.commands():
            self.end(command)
        self.decide(request)


def answer(outcome: Outcome) -> Answer:
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, Answer)
    return outcome.result


def problems(outcome: Outcome) -> list[tuple[str, str]]:
    """The device and type id of each problem."""
    return [(problem.note.split()[1].rstrip(":"), problem.type_id) for problem in answer(outcome).problems]
