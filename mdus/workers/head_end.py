"""The head-end worker: gives commands to one head end, and finds out what became of calls that broke off.

```
transaction 1   claim due commands of one kind -> permit (switches) -> intent rows, SUBMITTING, lease
                                     |  commit: from here on the call may have happened
no transaction  head_end.submit      |
                                     v
transaction 2   accepted    ACCEPTED, the result awaited      (only where the lease is still ours,
                rejected    FAILED                             and no result came before the answer)
                transient   READY after a pause, at last FAILED
                uncertain   look for it: found -> ACCEPTED; else READY, but a switch UNCERTAIN
```

A switch is submitted at most once unless the head end certainly did nothing: whoever is unsure reads the state.
Each configured head end has a worker of its own, so one that is down holds up no other.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from mdus.domain.clock import Clock
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import GovernorRules
from mdus.domain.head_end import Batch, HeadEnd, RawDelivery, Submission
from mdus.messaging.retry import RetryPolicy, TransientError, UncertainError
from mdus.settings import Settings
from mdus.storage import delivery, polling, submission
from mdus.storage.concentrator import concentrators_of
from mdus.storage.origins import messages_behind
from mdus.storage.outstanding import Limits
from mdus.storage.registry import note_switch_states
from mdus.storage.session import Database, UnitOfWork
from mdus.storage.submission import Claimed, Ended
from mdus.telemetry import tracing
from mdus.telemetry.metrics import COMMANDS
from mdus.workers.head_end_call import Call, correlation_of
from mdus.workers.leaving import may_leave

log = structlog.get_logger(__name__)

#: What leaves first: breakers and their verification, then whom a person waits for, then stored values.
_ORDER = (
    CommandKind.SWITCH,
    CommandKind.SWITCH_STATE,
    CommandKind.LIMIT_DEMAND,
    CommandKind.CONTROL_LOAD,
    CommandKind.READ_ON_DEMAND,
    CommandKind.PING,
    CommandKind.SHOW_TEXT,
    CommandKind.SET_TIME,
    CommandKind.PROVISION,
    CommandKind.READ_REGISTERS,
    CommandKind.READ_INTERVALS,
)

#: The longest rest after failed calls: a head end that is back should not wait for us.
_LONGEST_REST = timedelta(seconds=30)

#: Commands settled in one transaction beside the calls (expired, lost, overdue).
_SETTLED_AT_ONCE = 500

#: How long results that were said to be ready are waited for before the call is asked for again, and how many times as
#: long at most, where the row says nothing.
_POLL_PAUSE = timedelta(minutes=1)
_LONGEST_POLL = 8

_NO_LIMITS: Final = Limits()

#: Silent calls asked about in one turn, each by a call of its own.
_ASKED_AT_ONCE = 20


def patience(settings: Settings) -> Mapping[CommandKind, timedelta]:
    """Return how long a head end may take for a result, by kind of command (business time)."""
    switching = timedelta(minutes=settings.switching.command_timeout_minutes)
    reading = timedelta(minutes=settings.reading.on_demand_timeout_minutes)
    return {
        kind: switching if kind in (CommandKind.SWITCH, CommandKind.SWITCH_STATE) else reading for kind in CommandKind
    }


class HeadEndWorker:
    """Serves one head end; `turn` may be called by several threads at once, as many as calls may be under way.

    `takes` are the kinds of commands the head end can be given; others end here. `limits` say how much of them at once,
    `poll_after` how soon it is asked for the results of a call it has accepted. `lease` must outlast a call with the
    look for it after a failure, so take a good multiple of the head end's time-out. `monotonic` is the real clock that
    rests after failures are measured with.
    """

    def __init__(
        self,
        head_end: HeadEnd,
        *,
        database: Database,
        clock: Clock,
        retry: RetryPolicy,
        patience: Mapping[CommandKind, timedelta],
        rules: GovernorRules,
        lease: timedelta,
        takes: frozenset[CommandKind] = frozenset(CommandKind),
        limits: Limits = _NO_LIMITS,
        poll_after: timedelta | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.head_end = head_end
        self._database = database
        self._clock = clock
        self._retry = retry
        self._patience = patience
        self._rules = rules
        self._lease = lease
        self._takes = takes
        self._limits = limits
        self._poll_after = poll_after
        self._monotonic = monotonic
        self._looking = threading.Lock()
        self._polling = threading.Lock()
        self._lock = threading.Lock()
        self._is_tried = False  # after failures one call shows whether the head end is back
        self._failures = 0  # calls in a row that never reached it
        self._rest_until = float("-inf")

    def turn(self) -> int:
        """Settle what expired, was lost or is overdue, then make one call; returns how many commands moved."""
        now = self._clock.now()
        with self._looking:
            with self._database.read() as uow:
                work = submission.pending(uow.connection, self.head_end.name, now=now)
            moved = self._expire(now) if work.expired else 0
            is_settled = not (work.orphaned or work.overdue)
            call, handled = self._begin_first(work.kinds) if is_settled else (None, 0)
        if not is_settled:
            moved += self._recover(now) if work.orphaned else 0
            moved += self.timeouts(now) if work.overdue else 0
            with self._looking:
                call, handled = self._begin_first(work.kinds)
        # Nothing comes between the permission to leave and the leaving.
        if call is not None:
            self._make(call)
        moved += self._poll() if work.polled else 0
        return moved + handled

    def take_only(self, takes: frozenset[CommandKind]) -> None:
        """Give the head end these kinds of commands from now on: it has said what it can do."""
        self._takes = takes

    def timeouts(self, now: datetime) -> int:
        """Ask the head end once more for overdue results, then end what stays silent as TIMED_OUT; returns how many."""
        name = self.head_end.name
        with self._database.read() as uow:
            tokens = polling.overdue_tokens(uow.connection, name, now=now, limit=_ASKED_AT_ONCE)
        packed = [delivery.pack(each) for token in tokens for each in self._results(token)]
        with self._database.begin() as uow:
            delivery.store(uow.connection, packed, head_end=name, now=now)
            polling.note_asked(uow.connection, name, tokens, now=now)
            silent = submission.claim_overdue(uow.connection, name, now=now, limit=_SETTLED_AT_ONCE)
            self._end(uow, silent, status=CommandStatus.TIMED_OUT, now=now, code="TIMED_OUT", text="no result in time")
        return len(silent)

    def _poll(self) -> int:
        """Fetch the results of accepted calls whose turn it is; returns how many deliveries were new."""
        if not self._polling.acquire(blocking=False):
            return 0
        try:
            name, pause = self.head_end.name, self._poll_after or _POLL_PAUSE
            with self._database.begin() as uow:
                tokens = polling.claim_polls(
                    uow.connection,
                    name,
                    now=self._clock.now(),
                    pause=pause,
                    longest=_LONGEST_POLL,
                    limit=_ASKED_AT_ONCE,
                )
            new = 0
            for token in tokens:
                packed = [delivery.pack(each) for each in self._results(token)]
                if packed:
                    with self._database.begin() as uow:
                        new += delivery.store(uow.connection, packed, head_end=name, now=self._clock.now())
            return new
        finally:
            self._polling.release()

    def _results(self, token: str) -> list[RawDelivery]:
        try:
            return list(self.head_end.results(token))
        except (TransientError, UncertainError) as error:
            log.warning("head_end_not_asked", head_end=self.head_end.name, token=token, reason=str(error))
            return []

    # ---- one call ----------------------------------------------------------------------------------------------------

    def _begin_first(self, kinds: Collection[CommandKind]) -> tuple[Call | None, int]:
        """Begin a call of the kind that leaves first, unless the head end rests; returns it and the commands handled.

        One thread at a time: what another is about to claim looks due, and is not to be had.
        """
        if self._monotonic() < self._rest_until or (self._failures and self._is_tried):
            return None, 0
        for kind in _ORDER:
            if kind in kinds:
                call, handled = self._begin(kind)
                if handled:
                    self._is_tried = call is not None
                    return call, handled
        return None, 0

    def _make(self, call: Call) -> None:
        """Make a call and store what came of it."""
        try:
            self._call(call)
        finally:
            self._is_tried = False

    def _call(self, call: Call) -> None:
        answer: Submission | None
        if self._monotonic() - call.begun > self._lease.total_seconds() / 2:
            # Held up since it was permitted: by now another may be finding out what became of it.
            self._settle_transient(call, reason="it was not given away in time")
            return
        try:
            with tracing.span("submit", lambda: call.messages, head_end=self.head_end.name, kind=call.batch.kind.value):
                answer = self.head_end.submit(call.batch)
        except TransientError as error:
            self._note_failure()
            self._settle_transient(call, reason=str(error))
        except UncertainError as error:
            log.warning(
                "call_uncertain",
                head_end=self.head_end.name,
                correlation=call.batch.correlation,
                kind=call.batch.kind,
                reason=str(error),
            )
            answer = self._find(call.batch.correlation)
            self._settle(call, answer, reason=str(error))
        else:
            self._note_success()
            self._settle(call, answer, reason="")

    def _begin(self, kind: CommandKind) -> tuple[Call | None, int]:
        """Claim a batch and store the intents; returns the call to make, if any is left, and the commands handled.

        The clock is read when the transaction has begun: whatever came before it in this turn, or held it up, may have
        taken minutes, and a disconnection that expired in them must not leave.
        """
        name = self.head_end.name
        with self._database.begin() as uow:
            now = self._clock.now()
            limit = self.head_end.batch_size
            claimed = submission.claim_due(uow.connection, name, kind, now=now, limit=limit, limits=self._limits)
            leaving, refused = self._governed(uow, claimed, kind=kind, now=now) if claimed else (claimed, 0)
            if not leaving:
                return None, refused
            told = [each.command for each in leaving if kind is CommandKind.PROVISION]
            messages = messages_behind(uow.connection, [each.command for each in leaving]) if tracing.is_on() else None
            devices, registers = submission.devices_and_registers(uow.connection, told, now=now)
            batch = Batch(
                kind=kind,
                correlation=correlation_of(leaving),
                commands=[each.command for each in leaving],
                devices=devices,
                registers=registers,
                concentrators=self._concentrators(uow, leaving),
                at=now,
            )
            call = Call(
                batch=batch,
                lease_token=str(uuid.uuid4()),
                commands=tuple(leaving),
                begun=self._monotonic(),
                messages=messages or frozenset(),
            )
            submission.begin_call(
                uow.connection,
                leaving,
                head_end=name,
                correlation=batch.correlation,
                lease_token=call.lease_token,
                lease=self._lease,
                now=now,
            )
        return call, len(leaving) + refused

    def _concentrators(self, uow: UnitOfWork, leaving: Sequence[Claimed]) -> Mapping[str, str]:
        if not self._limits.know_concentrators:
            return {}
        return concentrators_of(uow.connection, self.head_end.name, {each.command.serial_id for each in leaving})

    def _governed(
        self, uow: UnitOfWork, claimed: Sequence[Claimed], *, kind: CommandKind, now: datetime
    ) -> tuple[list[Claimed], int]:
        """Ask of each command whether it may still leave; refused ones end here, and whoever owns them is woken.

        Returns those that may leave, and how many ended.
        """
        leaving, refusals = may_leave(uow, claimed, kind=kind, rules=self._rules, takes=self._takes, now=now)
        for each, refusal in refusals:
            log.info(
                "command_refused",
                head_end=self.head_end.name,
                kind=kind,
                device_id=each.command.device_id,
                control=each.command.control_key,
                code=refusal.code,
            )
        refused = [
            each.ending(CommandStatus.FAILED, code=refusal.code, text=refusal.note) for each, refusal in refusals
        ]
        self._count(kind, submission.end(uow.connection, refused, now=now), failed="refused")
        return leaving, len(refusals)

    def _find(self, correlation: str) -> Submission | None:
        try:
            return self.head_end.find(correlation)
        except (TransientError, UncertainError) as error:
            log.warning("call_not_found", head_end=self.head_end.name, correlation=correlation, reason=str(error))
            return None

    # ---- what came of it ---------------------------------------------------------------------------------------------

    def _settle(self, call: Call, answer: Submission | None, *, reason: str) -> None:
        """Store the outcome of a call that was answered, or found, or (None) stays uncertain."""
        if answer is None:
            self._settle_uncertain(call, reason=reason)
            return
        now = self._clock.now()
        rejections = {rejection.command_key: rejection for rejection in answer.rejections}
        rejected = [each for each in call.commands if each.command.command_key in rejections]
        answered = [delivery.pack(each) for each in answer.deliveries]
        with self._database.begin() as uow:
            connection = uow.connection
            ours = submission.still_ours(connection, call.commands, lease_token=call.lease_token)
            submission.accept(
                connection,
                [each for each in ours if each.command.command_key not in rejections],
                token=answer.token,
                answer_by=now + self._patience[call.batch.kind],
                poll_after=self._poll_after,
                now=now,
            )
            # What was answered at once is taken in like anything the head end tells: by then its commands are accepted.
            delivery.store(connection, answered, head_end=self.head_end.name, now=now)
            failed = [
                each.ending(CommandStatus.FAILED, code=rejection.code, text=rejection.text)
                for each in ours
                if (rejection := rejections.get(each.command.command_key)) is not None
            ]
            ended = submission.end(connection, failed, now=now)
            no_breaker = [each for each in rejected if rejections[each.command.command_key].code == "NO_BREAKER"]
            note_switch_states(
                connection,
                [
                    (each.command.sender_system, each.command.device_id, SwitchState.UNKNOWN, now, False)
                    for each in no_breaker
                ],
            )
            if rejected:
                of = [each.id for each in rejected]
                submission.close_intents(connection, call.batch.correlation, outcome="rejected", now=now, of=of)
            submission.close_intents(
                connection, call.batch.correlation, outcome="accepted", now=now, token=answer.token
            )
        self._count(call.batch.kind, ended)

    def _settle_transient(self, call: Call, *, reason: str) -> None:
        """Give back what the head end certainly did not do; what has failed too often ends as UNREACHABLE."""
        now = self._clock.now()
        with self._database.begin() as uow:
            ours = submission.still_ours(uow.connection, call.commands, lease_token=call.lease_token)
            self._try_again(uow, ours, now=now, reason=reason)
            submission.close_intents(uow.connection, call.batch.correlation, outcome="transient", now=now)
        log.warning("head_end_unreachable", head_end=self.head_end.name, commands=len(ours), reason=reason)

    def _settle_uncertain(self, call: Call, *, reason: str) -> None:
        """Give back what is safe to repeat; a switch ends UNCERTAIN and is never sent again.

        What was given too often has failed, but for a restraint: that may be in force.
        """
        now = self._clock.now()
        with self._database.begin() as uow:
            ours = submission.still_ours(uow.connection, call.commands, lease_token=call.lease_token)
            submission.close_intents(uow.connection, call.batch.correlation, outcome="uncertain", now=now)
            if call.batch.kind is CommandKind.SWITCH:
                text = f"it is not known whether the head end took it: {reason}"[:500]
                self._end(uow, ours, status=CommandStatus.UNCERTAIN, now=now, code="UNCERTAIN", text=text)
            else:
                self._try_again(uow, ours, now=now, reason=reason)

    def _try_again(self, uow: UnitOfWork, ours: Sequence[Claimed], *, now: datetime, reason: str) -> None:
        # `attempts` was read before this attempt was counted.
        exhausted = [each for each in ours if self._retry.is_exhausted(each.attempts + 1)]
        text = f"given up after {self._retry.attempts} attempts: {reason}"[:500]
        self._end(uow, exhausted, status=CommandStatus.FAILED, now=now, code="UNREACHABLE", text=text)
        again = [each for each in ours if not self._retry.is_exhausted(each.attempts + 1)]
        # One pause for all with the same number of attempts: the batch stays together.
        pauses = {attempts: self._retry.delay(attempts + 1) for attempts in {each.attempts for each in again}}
        by_id = {each.id: pauses[each.attempts] for each in again}
        submission.give_back(uow.connection, again, pauses=by_id, now=now, note=reason)

    def _recover(self, now: datetime) -> int:
        """Find out what became of calls whose worker died before it could tell; returns how many commands."""
        name, lease_token = self.head_end.name, str(uuid.uuid4())
        with self._database.begin() as uow:
            orphans = submission.claim_orphans(
                uow.connection, name, lease_token=lease_token, lease=self._lease, limit=_SETTLED_AT_ONCE
            )
        calls: dict[tuple[CommandKind, str], list[Claimed]] = {}
        for each in orphans:
            calls.setdefault((each.command.kind, each.correlation or ""), []).append(each)
        for (kind, correlation), commands in calls.items():
            # The attempt was counted when it began.
            begun = tuple(replace(each, attempts=each.attempts - 1) for each in commands)
            batch = Batch(kind=kind, correlation=correlation, commands=[each.command for each in begun])
            call = Call(batch=batch, lease_token=lease_token, commands=begun)
            log.warning("call_recovered", head_end=name, correlation=correlation, kind=kind, commands=len(commands))
            self._settle(call, self._find(correlation), reason="the worker ended in the middle of the call")
        return len(orphans)

    def _expire(self, now: datetime) -> int:
        with self._database.begin() as uow:
            expired = submission.claim_expired(uow.connection, self.head_end.name, now=now, limit=_SETTLED_AT_ONCE)
            self._end(
                uow,
                expired,
                status=CommandStatus.FAILED,
                now=now,
                code="EXPIRED",
                text="it expired before it could leave",
            )
        return len(expired)

    def _end(
        self,
        uow: UnitOfWork,
        commands: Sequence[Claimed],
        *,
        status: CommandStatus,
        now: datetime,
        code: str,
        text: str,
    ) -> None:
        kinds = {each.id: each.command.kind for each in commands}
        ended = [each.ending(status, code=code, text=text) for each in commands]
        for one in submission.end(uow.connection, ended, now=now):
            self._count(kinds[one.id], [one])

    def _count(self, kind: CommandKind, ended: Sequence[Ended], *, failed: str = "failed") -> None:
        """Count commands as they have ended in the store; one that was to fail may be uncertain there."""
        for status, number in Counter(each.status for each in ended).items():
            outcome = failed if status is CommandStatus.FAILED else status.value
            COMMANDS.labels(self.head_end.name, kind.value, outcome).inc(number)

    # ---- resting after failures --------------------------------------------------------------------------------------

    def _note_failure(self) -> None:
        with self._lock:
            self._failures += 1
            rest = min(self._retry.delay(self._failures), _LONGEST_REST)
            self._rest_until = self._monotonic() + rest.total_seconds()

    def _note_success(self) -> None:
        with self._lock:
            self._failures = 0
            self._rest_until = float("-inf")
