"""The messages of device initialization in any order, repeated or not, leave the same registry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.provisioning import provision
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome, Park
from mdus.services import device_create, device_location, point_of_delivery_assigned, register_create
from tests.unit.services.device_initialization import (
    DEVICE,
    HEAD_ENDS,
    NOW,
    READING_TYPES,
    TASK,
    ZONES,
    assignment_request,
    device_request,
    location_request,
    register_request,
    sent_assignment,
    sent_location,
    sent_register,
)

Decide = Callable[..., Outcome]
KINDS = (EndDevice, EndDeviceStatus, Register, DeviceLocation, LogicalLocation, UsagePoint, Command)
NIGHT = "000000000000200042"


@dataclass(frozen=True)
class Message:
    """One message and the service that decides it."""

    name: str
    decide: Decide
    request: Any


LOGICAL = device_location.SentLogicalLocation(logical_installation_point_id="LL1", valid_from=date(2026, 1, 1))
MESSAGES = (
    Message("device", device_create.decide, device_request()),
    Message("register", register_create.decide, register_request()),
    Message(
        "night register",
        register_create.decide,
        register_request(sent_register(measurement_task_id=NIGHT, obis_text="1-0:1.8.2")),
    ),
    Message("location", device_location.decide, location_request(sent_location(), logical_locations=(LOGICAL,))),
    Message("point of delivery", point_of_delivery_assigned.decide, assignment_request(sent_assignment())),
    Message(
        "point of delivery of the night register",
        point_of_delivery_assigned.decide,
        assignment_request(sent_assignment(point_of_delivery_id="B"), measurement_task_id=NIGHT),
    ),
)


def registry_after(messages: Sequence[Message]) -> dict[type[Value], set[Any]]:
    """What is known once all messages are decided; parked ones are decided again when woken."""
    known = Known([HEAD_ENDS], [READING_TYPES], [ZONES])
    ready, parked = deque(messages), dict[str, list[Message]]()
    while ready:
        message = ready.popleft()
        outcome = message.decide(message.request, known, now=NOW)
        known.after(outcome)
        if isinstance(outcome, Park):
            parked.setdefault(outcome.waits_for, []).append(message)
            continue
        assert isinstance(outcome, Done)
        assert outcome.result is not None
        assert outcome.result.problems == ()
        for change in outcome.changes:
            for name in change.wakes if isinstance(change, Value) else ():
                ready.extend(parked.pop(name, ()))
    assert parked == {}
    # Which provisioning commands were made on the way depends on the order; what they add up to does not.
    found = {kind: set(known.find(kind)) for kind in KINDS}
    commands = {command.command_key for command in found[Command]}
    return {**found, Command: {last_command(known)} & commands}


def last_command(known: Known) -> str:
    """The key of the command that tells the head end of all registers."""
    device = known.one(EndDevice, "P11", DEVICE)
    assert device is not None
    command = provision(device, known.find(Register), now=NOW + timedelta(days=1))
    assert command is not None
    return command.command_key


IN_ORDER = registry_after(MESSAGES)


def test_the_messages_in_order_make_the_whole_registry() -> None:
    counts = {kind.__name__: len(values) for kind, values in IN_ORDER.items()}
    assert counts == {
        "EndDevice": 1,
        "EndDeviceStatus": 1,
        "Register": 2,
        "DeviceLocation": 1,
        "LogicalLocation": 1,
        "UsagePoint": 2,
        "Command": 1,
    }
    assert {register.measurement_task_id for register in IN_ORDER[Register]} == {TASK, NIGHT}


@given(st.permutations(MESSAGES), st.lists(st.sampled_from(MESSAGES), max_size=4), st.randoms())
def test_any_order_with_any_repetition_makes_the_same_registry(
    order: list[Message], again: list[Message], shuffle: Any
) -> None:
    messages = [*order, *again]
    shuffle.shuffle(messages)
    assert registry_after(messages) == IN_ORDER
