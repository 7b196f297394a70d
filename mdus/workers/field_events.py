"""Takes what head ends tell into the tables, a whole batch at once: readings, signs of life, results of commands.

Nothing here minds order or repetition: a reading told twice is one row, older news of a breaker is ignored, and a
command that has ended keeps its outcome. A late result still updates the known switch state and demand limit, and one
that contradicts what SAP was told becomes a smart meter event and a case.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

from mdus.domain.command import HARMS_WHEN_LATE, Command, CommandKind, CommandStatus
from mdus.domain.contradiction import ToldPosition, contradiction
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import (
    CommandResult,
    ConcentratorTold,
    FieldAlarm,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    Heard,
    ResultsReady,
    Unmapped,
    UnreadableLine,
)
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.messaging.outcome import Change
from mdus.storage import delivery, polling, submission
from mdus.storage.concentrator import note_concentrators
from mdus.storage.origins import messages_behind
from mdus.storage.registry import KnownDevice, devices_by_serial, note_heard, note_provisioned, note_switch_states
from mdus.storage.session import UnitOfWork
from mdus.storage.submission import Claimed, Ended
from mdus.telemetry import tracing
from mdus.telemetry.metrics import COMMANDS, HEAD_END_ANSWER_SECONDS
from mdus.workers.doubted_results import doubted
from mdus.workers.event_intake import take_alarms
from mdus.workers.interval_intake import take_intervals
from mdus.workers.late_limits import LateLimit, limits_told, take_late_limits
from mdus.workers.register_news import contradicted, look_again
from mdus.workers.told import DeviceKey, Taken, Told
from mdus.workers.unmapped_intake import take_unmapped
from mdus.workers.validation_told import look_again_at_others

#: What a word for all of a call does not change any more: a command told of by itself is not told of again.
_SETTLED: Final = frozenset({CommandStatus.DONE, CommandStatus.FAILED, CommandStatus.CANCELLED})


@dataclass(kw_only=True, slots=True)
class _Batch:
    """What a batch of deliveries changes, gathered before anything is written."""

    readings: list[MeterReading] = field(default_factory=list)
    switched: list[tuple[str, str, SwitchState, datetime, bool | None]] = field(default_factory=list)
    provisioned: dict[DeviceKey, datetime] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)  # by command key: of two results the first counts
    changes: list[Change] = field(default_factory=list)
    counted: dict[int, tuple[str, str]] = field(default_factory=dict)  # head end and kind of what ended, by command
    answered: dict[tuple[str, str], Counter[float]] = field(default_factory=dict)  # seconds, by head end and kind
    taken: Taken = field(default_factory=Taken)
    ready: list[tuple[Told, str]] = field(default_factory=list)  # tokens of calls whose results may be fetched
    told_late: set[int] = field(default_factory=set)  # commands that were given up, and have their result now
    concentrators: list[tuple[str, ConcentratorTold]] = field(default_factory=list)  # with their head end


def take_in(
    uow: UnitOfWork, told: Sequence[Told], *, now: datetime, given_up: frozenset[int] = frozenset()
) -> dict[int, list[str]]:
    """Write what these deliveries tell; returns, by delivery, what found no place yet and why.

    Values in a result that belongs to no command are taken, as if told unasked, once its delivery is `given_up`; not
    those of a meter that was not asked in the call the result names.
    Commands are held before device statuses are written, always in this order, so that workers do not wait in a circle.
    """
    batch, began = _Batch(), time.time_ns()
    devices = _devices(uow, told)
    results = _named(uow, [(each, event) for each in told for event in each.events if isinstance(event, CommandResult)])
    commands = delivery.commands_named(
        uow.connection, {result.command_key for _, result in results if result.command_key is not None}
    )
    correlations = delivery.correlations_of(uow.connection, {command.id for command in commands.values()})
    messages = messages_behind(uow.connection, [each.command for each in commands.values()]) if tracing.is_on() else ()
    for each in told:
        for event in each.events:
            match event:
                case FieldReading():
                    _take_reading(batch, each, event, devices)
                case Heard():
                    _take_heard(batch, each, event, devices)
                case FieldIntervals() | FieldAlarm() | Unmapped():
                    pass  # below: their kind has an intake of its own
                case CommandResult():
                    pass  # below: it needs its command, not the serial number
                case UnreadableLine():
                    pass  # whoever has the delivery shows it
                case ResultsReady():
                    batch.ready.append((each, event.token))
                case ConcentratorTold():
                    batch.concentrators.append((each.head_end, replace(event, at=event.at or each.received_at)))
                case _:
                    assert_never(event)
    positions: list[_Position] = []
    limits: list[LateLimit] = []
    ours: list[Told] = []  # results that belong to a command of ours
    in_doubt = doubted(results, commands)
    for each, result in results:
        claimed = commands.get(result.command_key or "")
        reason = _mismatch(each, result, claimed, correlations)
        if (each.delivery_id, result.command_key) in in_doubt:
            reason = f"serial number {result.serial_id} is told of twice: one of them is another meter's"
        if claimed is None or reason is not None:
            batch.taken.note_unplaced(each.delivery_id, reason or "")
            if claimed is None and each.delivery_id in given_up:
                ours.append(replace(each, events=result.intervals))
                for reading in result.readings:
                    _take_reading(batch, each, reading, devices)
        else:
            ours.append(replace(each, events=result.intervals))
            at = _when(result, calls=correlations.get(claimed.id, {}), now=now)
            is_late = _take_result(batch, each, result, claimed, at=at)
            if not is_late:
                _note_answer(batch, result, claimed, correlations, now=now)
            positions += _positions(batch, each, result, claimed.command, is_late=is_late, at=at)
            limits += limits_told(each.delivery_id, result, claimed.command, is_late=is_late, at=at)
    _compare(uow, batch, positions, now=now)
    batch.changes += take_late_limits(uow, batch.taken, limits, now=now) if limits else []
    _take_ready(uow, batch)
    batch.taken.add(take_intervals(uow, [*_only(told, FieldIntervals), *_only(ours, FieldIntervals)], devices, now=now))
    batch.taken.add(take_alarms(uow, _only(told, FieldAlarm), devices, now=now))
    take_unmapped(uow, told, now=now)
    with tracing.span("result", lambda: messages, began=began):
        _write(uow, batch, now=now)
    return batch.taken.unplaced


def _only(told: Sequence[Told], kind: type[FieldEvent]) -> list[Told]:
    """Return the deliveries that tell something of one kind, with nothing else in them."""
    some = ((each, tuple(event for event in each.events if isinstance(event, kind))) for each in told)
    return [replace(each, events=events) for each, events in some if events]


def _named(uow: UnitOfWork, results: Sequence[tuple[Told, CommandResult]]) -> list[tuple[Told, CommandResult]]:
    """Return results with the keys of their commands, also where their head end names only the call and the meter.

    One that names no meter either is of every command of the call that is not settled yet.
    """
    calls = {
        (each.head_end, call)
        for each, result in results
        if result.command_key is None
        for call in (result.correlation, result.token)
        if call
    }
    called = delivery.called(uow.connection, calls)

    def of_call(each: Told, result: CommandResult) -> dict[str, delivery.Called]:
        names = (result.token or "", result.correlation or "")
        return {serial: one for name in names for serial, one in called.get((each.head_end, name), {}).items()}

    named, of_all = [], []
    for each, result in results:
        if result.command_key is not None or not of_call(each, result):
            named.append((each, result))
        elif result.serial_id:
            one = of_call(each, result).get(result.serial_id)
            if one is not None:
                named.append((each, replace(result, command_key=one.command_key)))
            else:  # Values of a meter that was not asked: they are another's, and nobody knows whose.
                named.append((each, replace(result, readings=(), intervals=())))
        else:
            of_all.append((each, result))
    told = {result.command_key for _, result in named}
    for each, result in of_all:
        named += [
            (each, replace(result, command_key=one.command_key, serial_id=serial))
            for serial, one in of_call(each, result).items()
            if one.status not in _SETTLED and one.command_key not in told
        ]
    return named


def _devices(uow: UnitOfWork, told: Sequence[Told]) -> dict[tuple[str, str], KnownDevice]:
    """Return the devices named by serial number, by (head end, serial number)."""
    serials: dict[str, set[str]] = {}
    for each in told:
        names = {
            event.serial_id
            for event in each.events
            if isinstance(event, FieldReading | FieldIntervals | FieldAlarm | Heard)
            or (isinstance(event, CommandResult) and (event.intervals or event.readings))
        }
        serials.setdefault(each.head_end, set()).update(names)
    return {
        (head_end, serial): device
        for head_end, names in serials.items()
        if names
        for serial, device in devices_by_serial(uow.connection, head_end=head_end, serials=names).items()
    }


def _take_reading(
    batch: _Batch, told: Told, reading: FieldReading, devices: Mapping[tuple[str, str], KnownDevice]
) -> None:
    device = devices.get((told.head_end, reading.serial_id))
    if device is None:
        batch.taken.note_unplaced(told.delivery_id, f"no device with serial number {reading.serial_id}")
        return
    key = (device.sender_system, device.device_id)
    batch.readings.append(_meter_reading(key, reading, origin=ReadingOrigin.SNAPSHOT, received_at=told.received_at))
    batch.taken.note_heard(key, reading.measured_at)


def _take_heard(batch: _Batch, told: Told, heard: Heard, devices: Mapping[tuple[str, str], KnownDevice]) -> None:
    device = devices.get((told.head_end, heard.serial_id))
    if device is None:
        batch.taken.note_unplaced(told.delivery_id, f"no device with serial number {heard.serial_id}")
        return
    batch.taken.note_heard((device.sender_system, device.device_id), heard.at)


def _take_ready(uow: UnitOfWork, batch: _Batch) -> None:
    """Have results that are ready fetched; a call not known yet may have been accepted only now."""
    for head_end in sorted({told.head_end for told, _ in batch.ready}):
        of_head_end = [(told, token) for told, token in batch.ready if told.head_end == head_end]
        known = polling.note_ready(uow.connection, head_end, {token for _, token in of_head_end})
        for told, token in of_head_end:
            if token not in known:
                batch.taken.note_unplaced(told.delivery_id, f"no call was accepted as {token}")


def _mismatch(
    told: Told, result: CommandResult, claimed: Claimed | None, correlations: Mapping[int, Mapping[str, datetime]]
) -> str | None:
    """Return why this result belongs to no command, or None when it does.

    A head end speaks of its own commands and meters only, and of calls we made.
    """
    if result.command_key is None:
        call = result.correlation or result.token
        return f"no command for serial number {result.serial_id} in the call {call or '(none named)'}"
    if claimed is None or claimed.command.head_end != told.head_end:
        return f"no command {result.command_key}"
    if claimed.command.serial_id != result.serial_id:
        return f"the command {result.command_key} is not for serial number {result.serial_id}"
    if result.correlation is not None and result.correlation.lower() not in correlations.get(claimed.id, {}):
        return f"the command {result.command_key} was not given under {result.correlation}"
    return None


def _take_result(batch: _Batch, told: Told, result: CommandResult, claimed: Claimed, *, at: datetime) -> bool:
    """Gather what one result changes; returns whether it came after its command had ended."""
    command = claimed.command
    device = (command.sender_system, command.device_id)
    origin = ReadingOrigin.ON_DEMAND if command.kind is CommandKind.READ_ON_DEMAND else ReadingOrigin.SNAPSHOT
    batch.readings += [
        _meter_reading(device, reading, origin=origin, received_at=told.received_at) for reading in result.readings
    ]
    state = state_told(command, result)
    if state is not None:
        batch.switched.append((*device, state, at, True))
    elif result.code == "NO_BREAKER":
        batch.switched.append((*device, SwitchState.UNKNOWN, at, False))
    if command.kind is CommandKind.PROVISION:
        if result.succeeded:
            batch.provisioned[device] = at
    elif result.succeeded or state is not None:
        batch.taken.note_heard(device, at)  # provisioning says nothing of the meter itself: it need not be reachable
    if command.has_ended or command.command_key in batch.ended:
        if command.status is CommandStatus.TIMED_OUT and result.is_final:
            batch.told_late.add(claimed.id)
        return True
    if not result.is_final:
        return False
    status = ending(claimed, result)
    if status is not None:
        batch.ended[command.command_key] = Ended(
            id=claimed.id,
            command_key=command.command_key,
            status=status,
            code=result.code,
            text=result.text,
            acted_at=result.acted_at,
            state=state,
        )
        batch.counted[claimed.id] = (told.head_end, command.kind.value)
    return False


def _note_answer(
    batch: _Batch,
    result: CommandResult,
    claimed: Claimed,
    correlations: Mapping[int, Mapping[str, datetime]],
    *,
    now: datetime,
) -> None:
    """Note how long the head end took for a result, from the call it answers: those of one call have one duration."""
    left_at = correlations.get(claimed.id, {}).get((result.correlation or claimed.correlation or "").lower())
    if left_at is not None:
        durations = batch.answered.setdefault((claimed.command.head_end, claimed.command.kind.value), Counter())
        durations[max(0.0, (now - left_at).total_seconds())] += 1


def state_told(command: Command, result: CommandResult) -> SwitchState | None:
    """Return the breaker position a result tells; a successful switch that names none has reached the one wanted."""
    if result.switch_state is None and result.succeeded and command.kind is CommandKind.SWITCH:
        return command.wanted_state
    return result.switch_state


def ending(claimed: Claimed, result: CommandResult) -> CommandStatus | None:
    """Return how a command that has not ended yet ends by this result; None when it does not.

    A failure told for an earlier attempt ends nothing: a newer one is under way or about to be. A switch of which the
    head end cannot say whether the meter acted is UNCERTAIN, so its owner reads the state; a restraint too, for it may
    be in force.
    """
    if result.succeeded:
        return CommandStatus.DONE
    command = claimed.command
    told, last = result.correlation, claimed.correlation
    newest = told is None or last is None or told.lower() == last.lower()
    if not newest or (command.status is CommandStatus.READY and command.kind is not CommandKind.SWITCH):
        return None
    doubtful = result.uncertain and command.kind in HARMS_WHEN_LATE and command.status is not CommandStatus.READY
    return CommandStatus.UNCERTAIN if doubtful else CommandStatus.FAILED


def _when(result: CommandResult, *, calls: Mapping[str, datetime], now: datetime) -> datetime:
    """Return the instant of which a result is news: when the meter acted, but not before its call and not after now.

    A position that was read holds now, however long the breaker has stood in it, and a meter whose clock is behind has
    acted all the same: either would be ignored as older than what it corrects. News of one whose clock is ahead would
    hold against all that comes later. `calls` are those of its command, by their ids; what names none may answer any.
    """
    if result.acted_at is None:
        return now
    left_at = calls.get((result.correlation or "").lower()) or min(calls.values(), default=result.acted_at)
    return min(max(result.acted_at, left_at), now)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Position:
    """A breaker position told for a connection order, to be compared with what SAP was told."""

    delivery_id: int
    told: ToldPosition
    is_late: bool
    agrees: bool  # the same as this command has told before: it has made the outcome already


def _positions(
    batch: _Batch, told: Told, result: CommandResult, command: Command, *, is_late: bool, at: datetime
) -> list[_Position]:
    state = state_told(command, result)
    if command.control_key is None or state is None:
        return []
    ended = batch.ended.get(command.command_key)
    before = (ended.status, ended.state) if is_late and ended else (command.status, command.result_state)
    return [
        _Position(
            delivery_id=told.delivery_id,
            told=ToldPosition(command=command, state=state, succeeded=result.succeeded, at=at),
            is_late=is_late,
            agrees=is_late and result.succeeded and before == (CommandStatus.DONE, state),
        )
    ]


def _compare(uow: UnitOfWork, batch: _Batch, positions: Sequence[_Position], *, now: datetime) -> None:
    """Compare positions with what SAP was told of all orders for their meters: nothing is held, nothing changed.

    Who decides an order holds its commands, as this does: an order seen undecided here stays so until we are through.
    """
    keys = {(each.told.command.sender_system, each.told.command.device_id) for each in positions}
    by_device: dict[DeviceKey, list[EndDeviceControl]] = {}
    for order in uow.load(EndDeviceControl, ("sender_system", "device_id"), keys, lock=False):
        by_device.setdefault((order.sender_system, order.device_id), []).append(order)
    for each in positions:
        command = each.told.command
        ordered = by_device.get((command.sender_system, command.device_id), [])
        control = next((one for one in ordered if one.control_key == command.control_key), None)
        if control is None or each.agrees:
            continue
        if each.is_late and control.reported_success is None and control.status is ControlStatus.ORDERED:
            # What SAP will be told is still being decided: compare when it is.
            batch.taken.note_unplaced(each.delivery_id, f"the order {control.control_key} is undecided")
            continue
        found = contradiction(each.told, control=control, ordered=ordered)
        if found is not None:
            batch.changes += _contradicted(command, found.control, found.note, at=each.told.at, now=now)


def _contradicted(
    command: Command, control: EndDeviceControl, note: str, *, at: datetime, now: datetime
) -> list[Change]:
    event = late_failure(
        LateFailure.SWITCH_CONTRADICTION,
        sender_system=command.sender_system,
        device_id=command.device_id,
        at=at,
        told_at=now,
        about=command.command_key,
        note=note,
        case_key=control.control_key,
    )
    case = ExceptionCase(
        kind=LateFailure.SWITCH_CONTRADICTION.value,
        case_key=control.control_key,
        opened_at=now,
        note=f"{note} ({at:%Y-%m-%d %H:%M:%S} UTC, request {control.request_id}, device {command.device_id})",
    )
    return [event, case]


def _meter_reading(
    device: DeviceKey, reading: FieldReading, *, origin: ReadingOrigin, received_at: datetime
) -> MeterReading:
    sender_system, device_id = device
    return MeterReading(
        sender_system=sender_system,
        device_id=device_id,
        reading_type=reading.reading_type,
        measured_at=reading.measured_at,
        value=reading.value,
        unit=reading.unit,
        origin=origin,
        received_at=received_at,
    )


def _write(uow: UnitOfWork, batch: _Batch, *, now: datetime) -> None:
    connection = uow.connection
    uow.save([*batch.readings, *batch.changes, *contradicted(uow, batch.readings, now=now)])
    ended = submission.end(connection, list(batch.ended.values()), now=now)
    polling.stop(connection, batch.told_late)
    note_concentrators(connection, batch.concentrators)
    # As they are stored: of what was told as failed, an earlier attempt may have been carried out.
    for (labels, status), number in Counter((batch.counted[each.id], each.status) for each in ended).items():
        COMMANDS.labels(*labels, "ok" if status is CommandStatus.DONE else status.value).inc(number)
    for of, durations in batch.answered.items():
        HEAD_END_ANSWER_SECONDS.labels(*of).observe_many(durations)
    look_again(uow, batch.readings, now=now)
    look_again_at_others(uow, batch.provisioned, now=now)
    delivery.wake_documents(
        connection, {(reading.sender_system, reading.device_id) for reading in batch.readings}, now=now
    )
    # In one order everywhere, so that two workers never hold each other's next row.
    note_heard(connection, dict(sorted(batch.taken.heard.items())))
    note_provisioned(connection, dict(sorted(batch.provisioned.items())))
    note_switch_states(connection, sorted(batch.switched, key=lambda state: (state[0], state[1], state[3])))
