"""The worker of reading orders: looks for the values that are due, and sends again what SAP has not taken.

One turn is one claim and one transaction, with a bounded number of statements whatever the size of the batch:

```
claim due documents -> readings in their windows, devices, registers, their commands -> verdicts on the best readings
                    -> next_step (pure), once more with an estimate where it would fail without -> save
```
An error of one document never costs its neighbours: a batch that fails is split until the one at fault stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from mdus.domain.clock import Clock
from mdus.domain.command import Command, OwnerKind
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_collection import (
    READING_SUSPECT,
    Collection,
    document_owner,
    look_failed,
    next_step,
    part_held,
    read_command,
    wants_estimate,
)
from mdus.domain.meter_reading_document import RESULT_UNCONFIRMED, DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import ReadingPolicies, ReadingPolicy
from mdus.domain.register import Register, register_on
from mdus.domain.value import Value, changed, type_key
from mdus.services.meter_reading_document_result import SERVICE as RESULT
from mdus.settings import Settings
from mdus.storage import meter_reading_document as documents
from mdus.storage.command import commands_of
from mdus.storage.news import News, Topic, note_news
from mdus.storage.session import Database, UnitOfWork, is_collision
from mdus.workers.reading_validation import estimated, judged
from mdus.workers.rule_sets import RegisterRuleSets, unjudged

log = structlog.get_logger(__name__)

#: Documents looked at in one turn.
_AT_ONCE: Final = 500

#: How often results without an answer are looked for (business time): dear to ask, and no hurry.
_SILENCE_EVERY: Final = timedelta(minutes=1)

#: How far ahead `due_readings` fetches, and how many documents it serves in one run.
_AHEAD: Final = timedelta(minutes=15)
_AHEAD_AT_ONCE: Final = 20_000


class MeterReadingDocumentWorker:
    """Brings reading orders forward; `turn` returns how many documents it looked at, 0 when there was nothing to do."""

    def __init__(
        self,
        *,
        database: Database,
        settings: Settings,
        clock: Clock,
        rule_sets: Callable[[UnitOfWork], RegisterRuleSets] = unjudged,
    ) -> None:
        self._database = database
        self._rule_sets = rule_sets
        self._clock = clock
        self._policies = ReadingPolicies.of(settings)
        self._silence = timedelta(minutes=settings.reading.confirmation_timeout_minutes)
        self._send_attempts = settings.reading.send_attempts
        self._silence_looked_at: datetime | None = None

    def turn(self) -> int:
        """Look at one batch of documents that are due."""
        now = self._clock.now()
        asks_for_silence = self._silence_looked_at is None or now - self._silence_looked_at >= _SILENCE_EVERY
        with self._database.read() as uow:
            is_due = documents.is_any_due(uow.connection, now=now)
            is_silent = asks_for_silence and bool(self._silent(uow, now=now, limit=1))
        self._silence_looked_at = now if asks_for_silence and not is_silent else self._silence_looked_at
        looked_at = 0
        if is_due:
            with self._database.begin() as uow:
                looked_at += self._look_for_values(uow, now=now) + self._send_refused_again(uow, now=now)
        if is_silent:
            with self._database.begin() as uow:
                looked_at += self._send_unanswered_again(uow, now=now)
        return looked_at

    def _look_for_values(self, uow: UnitOfWork, *, now: datetime) -> int:
        due = documents.due_for_value(uow.connection, now=now, limit=_AT_ONCE)
        self._look(uow, due, now=now)
        return len(due)

    def _look(self, uow: UnitOfWork, due: Sequence[MeterReadingDocument], *, now: datetime) -> None:
        """Look at a batch of documents; when that fails, halve it until the document at fault stands alone."""
        if not due:
            return
        savepoint = uow.connection.begin_nested()
        try:
            self._take_next_steps(uow, due, now=now)
        except Exception as error:  # the worker loop: the other documents go on
            if is_collision(error) or _is_of_the_database(error):
                raise  # no document is at fault: the turn is taken again
            savepoint.rollback()
            if len(due) > 1:
                middle = len(due) // 2
                self._look(uow, due[:middle], now=now)
                self._look(uow, due[middle:], now=now)
                return
            self._note_defect(uow, due[0], error, now=now)
            return
        savepoint.commit()

    def _note_defect(self, uow: UnitOfWork, document: MeterReadingDocument, error: Exception, *, now: datetime) -> None:
        log.exception("reading_look_failed", document=document.document_id, device=document.device_id)
        owner = document_owner(document)
        commands = commands_of(uow.connection, owner_kind=OwnerKind.DOCUMENT, owner_keys=[owner], lock=False)
        cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(READING_SUSPECT, owner)], lock=False)
        case = next((case for case in cases if case.closed_at is None), None)
        due = Collection(document=document, device=None, register=None, commands=commands, case=case)
        changes = look_failed(due, f"{type(error).__name__}: {error}", policies=self._policies, now=now)
        self._save(uow, [changes], now=now)

    def _take_next_steps(self, uow: UnitOfWork, due: Sequence[MeterReadingDocument], *, now: datetime) -> None:
        policies, rule_sets = self._policies, self._rule_sets(uow)
        dues = judged(uow, _collections(uow, due, policies), rule_sets=rule_sets, policies=policies, now=now)
        steps = {one.document.key: next_step(one, policies=policies, now=now) for one in dues}
        failing = [one for one in dues if wants_estimate(one, steps[one.document.key], policies=policies)]
        if failing:
            for one in estimated(uow, failing, rule_sets=rule_sets, policies=policies):
                steps[one.document.key] = next_step(one, policies=policies, now=now)
        self._save(uow, list(steps.values()), now=now)

    def _save(self, uow: UnitOfWork, steps: Sequence[Sequence[Value]], *, now: datetime) -> None:
        """Store what changes about some documents, and tell of it."""
        changes: list[Value] = [change for step in steps for change in step]
        uow.save(changes)
        note_news(uow.connection, list(_news(changes, now=now)))
        for step in steps:
            _tell(step)

    def _send_refused_again(self, uow: UnitOfWork, *, now: datetime) -> int:
        refused = documents.due_for_resend(uow.connection, now=now, limit=_AT_ONCE)
        uow.save([_due_again(document) for document in refused])
        return len(refused)

    def _send_unanswered_again(self, uow: UnitOfWork, *, now: datetime) -> int:
        """Make results due again that SAP has not answered; after the last attempt a human must look."""
        silent = self._silent(uow, now=now, limit=_AT_ONCE)
        changes: list[Value] = []
        for document in silent:
            if document.result_attempts < self._send_attempts:
                changes.append(_due_again(document))
            else:
                changes += _given_up(document, now=now)
        uow.save(changes)
        return len(silent)

    def _silent(self, uow: UnitOfWork, *, now: datetime, limit: int) -> list[MeterReadingDocument]:
        sent_before = now - self._silence
        return documents.unanswered(uow.connection, service=RESULT.name, sent_before=sent_before, limit=limit)


def due_readings(database: Database, *, settings: Settings, now: datetime) -> str:
    """Ask head ends for stored values that are about to be looked for and have not come by themselves.

    The body of the job `due_readings`: what it fetches is there at the first look, instead of a round trip later.
    Returns what it did, for the list of jobs.
    """
    policies = ReadingPolicies.of(settings)
    asked = 0
    while asked < _AHEAD_AT_ONCE:
        with database.begin() as uow:
            soon = documents.due_soon(uow.connection, now=now, until=now + _AHEAD, limit=_AT_ONCE)
            if not soon:
                break
            changes: list[Value] = []
            for one in _collections(uow, soon, policies):
                changes += _fetched_ahead(one, policies=policies, now=now)
            uow.save(changes)
            asked += len(soon)
    return f"{asked} documents due within {int(_AHEAD.total_seconds() // 60)} minutes"


def _fetched_ahead(due: Collection, *, policies: ReadingPolicies, now: datetime) -> tuple[Value, ...]:
    """Look at a document now if its value is there or nobody could be asked; else ask for the value."""
    policy = policies.for_reason(due.document.reason_code)
    command = due.device and read_command(
        due.document,
        due.device,
        attempt=1,
        not_before=now,
        lasts=policies.on_demand_timeout if policy is None else policy.attempt_interval,
    )
    if due.readings or not command:
        return (replace(due.document, next_try_at=now),)
    return (replace(due.document, attempts=1, next_try_at=command.expires_at + policies.on_demand_timeout), command)


def _collections(uow: UnitOfWork, due: Sequence[MeterReadingDocument], policies: ReadingPolicies) -> list[Collection]:
    """Return the documents with all that bears on them: one query per aggregate for the whole batch."""
    if not due:
        return []
    keys = {(document.sender_system, document.device_id) for document in due}
    by_id = ("sender_system", "device_id")
    devices = {device.key: device for device in uow.load(EndDevice, by_id, keys, lock=False)}
    registers: dict[type_key, list[Register]] = {}
    for register in uow.load(Register, by_id, keys, lock=False):
        registers.setdefault((register.sender_system, register.device_id), []).append(register)
    found = {document.key: _register_of(document, registers, policies) for document in due}
    due = [_where_it_is(document, found[document.key]) for document in due]
    commands: dict[str, list[Command]] = {}
    # Read without holding: whoever ends one holds it while it waits for our documents, to wake them after us.
    for command in commands_of(
        uow.connection,
        owner_kind=OwnerKind.DOCUMENT,
        owner_keys=[document_owner(document) for document in due],
        lock=False,
    ):
        commands.setdefault(command.owner_key, []).append(command)
    readings = documents.readings_for(uow.connection, due)
    keys_of_cases = [(READING_SUSPECT, document_owner(document)) for document in due]
    cases = {case.case_key: case for case in uow.load(ExceptionCase, ExceptionCase.KEY, keys_of_cases, lock=False)}
    open_cases = {key: case for key, case in cases.items() if case.closed_at is None}
    dues = []
    for document in due:
        on_device, owner = (document.sender_system, document.device_id), document_owner(document)
        device, its_register = devices.get(on_device), found[document.key]
        inside, part = readings.get(document.key, []), None
        if its_register is not None:
            others, is_removal = registers[on_device], _policy_of(document, policies).removal
            part = part_held(document, device=device, register=its_register, others=others, removal=is_removal)
            inside = [reading for reading in inside if part.includes(reading.measured_at)]
        one = Collection(
            document=document,
            device=device,
            register=its_register,
            readings=inside,
            commands=commands.get(owner, ()),
            case=open_cases.get(owner),
            part=part,
        )
        dues.append(one)
    return dues


def _register_of(
    document: MeterReadingDocument, registers: Mapping[type_key, Sequence[Register]], policies: ReadingPolicies
) -> Register | None:
    """Return the register that has the document's number on the scheduled day, by what SAP says of it now."""
    of_device = registers.get((document.sender_system, document.device_id), ())
    spans = [register for register in of_device if register.measurement_task_id == document.measurement_task_id]
    return register_on(spans, document.scheduled_on, removal=_policy_of(document, policies).removal)


def _policy_of(document: MeterReadingDocument, policies: ReadingPolicies) -> ReadingPolicy:
    return policies.for_reason(document.reason_code) or ReadingPolicy()


def _where_it_is(document: MeterReadingDocument, register: Register | None) -> MeterReadingDocument:
    """Return the document on the channel of its register, where that has moved and still measures what was ordered."""
    if register is None or register.reading_type == document.reading_type or not register.measures(document.obis_text):
        return document
    return changed(document, reading_type=register.reading_type)


def _is_of_the_database(error: Exception) -> bool:
    """Tell whether the database could not do what was asked, whatever that was: no memory, no time, no connection."""
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)


def _due_again(document: MeterReadingDocument) -> MeterReadingDocument:
    return replace(document, status=DocumentStatus.READ, next_try_at=None, note=None)


def _given_up(document: MeterReadingDocument, *, now: datetime) -> tuple[Value, ...]:
    note = f"SAP has not answered {document.result_attempts} results of document {document.document_id}"
    return (
        replace(document, note=note),  # it stays sent: a late answer still closes it
        ExceptionCase(kind=RESULT_UNCONFIRMED, case_key=document_owner(document), opened_at=now, note=note),
    )


def _news(changes: Sequence[Value], *, now: datetime) -> Iterator[News]:
    """Yield what clients hear of their own orders: the value, or why there is none."""
    for change in changes:
        if not isinstance(change, MeterReadingDocument) or change.client is None:
            continue
        if change.status in (DocumentStatus.AVAILABLE, DocumentStatus.FAILED):
            yield News(
                at=now,
                topic=Topic.READINGS,
                sender_system=change.sender_system,
                client=change.client,
                about=f"document/{change.document_id}",
                content={
                    "document_id": change.document_id,
                    "device_id": change.device_id,
                    "status": change.status.value,
                    "reading_type": change.reading_type,
                    "value": None if change.value is None else str(change.value),
                    "unit": change.unit,
                    "measured_at": None if change.measured_at is None else change.measured_at.isoformat(),
                    "is_estimated": change.is_estimated,
                    "note": change.note,
                },
            )


def _tell(step: Sequence[Value]) -> None:
    for change in step:
        if isinstance(change, MeterReadingDocument) and change.status is DocumentStatus.FAILED:
            log.warning("reading_missing", document=change.document_id, device=change.device_id, reason=change.note)
        if isinstance(change, MeterReadingDocument) and change.is_estimated:
            log.info("reading_estimated", document=change.document_id, device=change.device_id, value=str(change.value))
        if isinstance(change, ExceptionCase) and change.kind == READING_SUSPECT and change.closed_at is None:
            log.warning("reading_suspect", case=change.case_key, reason=change.note)
