"""The database and its unit of work: one transaction, opened by a worker or an endpoint and committed once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from mdus.billing.determinant_set import DeterminantSetAssignment
from mdus.domain.access import Client
from mdus.domain.channel import Channel
from mdus.domain.clock import SimulatedTime
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice, EndDeviceStatus, RegistrationResend
from mdus.domain.end_device_control import EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent, EventWindow
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.load_control_event import LoadControlEvent
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.provisioning import registry_owner
from mdus.domain.reading import MeterReading
from mdus.domain.reading_quality import QualitySet
from mdus.domain.reading_verdict import ReadingVerdict
from mdus.domain.register import Register
from mdus.domain.temperature import DayTemperature
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_upload import Operation, TimeSeriesDay, TimeSeriesLook, TimeSeriesUpload
from mdus.domain.unheard_time import UnheardTime
from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.domain.value import Remove, Value
from mdus.messaging.outcome import Change
from mdus.messaging.sent_item import SentItem
from mdus.settings import Settings, data_folder, load_settings
from mdus.storage import answered, device_limit, registry
from mdus.storage import end_device_event as device_events
from mdus.storage import meter_reading_document as documents
from mdus.storage.access_token import clients_named
from mdus.storage.command import COMMAND, commands_of, provisionings_of, save_commands
from mdus.storage.determinant import DETERMINANT_SET_ASSIGNMENT
from mdus.storage.device_limit import DEVICE_LIMIT
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT, EVENT_WINDOW
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import CHANNEL, current_blocks, note_used, qualities_of
from mdus.storage.job import simulated_time
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT
from mdus.storage.mapping import ValueTable
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.reading import METER_READING, readings_of
from mdus.storage.reading_verdict import READING_VERDICT
from mdus.storage.registration_resend import REGISTRATION_RESEND, due_resends
from mdus.storage.registry import (
    DEVICE_LOCATION,
    END_DEVICE,
    END_DEVICE_STATUS,
    LOGICAL_LOCATION,
    REGISTER,
    USAGE_POINT,
)
from mdus.storage.temperature import DAY_TEMPERATURE
from mdus.storage.time_series import (
    TIME_SERIES_ASSIGNMENT,
    TIME_SERIES_DAY,
    TIME_SERIES_LOOK,
    TIME_SERIES_UPLOAD,
    uploads_due,
)
from mdus.storage.turnstile import Turnstile
from mdus.storage.unheard_time import UNHEARD_TIME
from mdus.storage.waiting import announce, wake_parked

V = TypeVar("V", bound=Value)

#: Every kind of value there is, and where it is stored.
TABLES: dict[type[Value], ValueTable[Any]] = {
    Channel: CHANNEL,
    EndDevice: END_DEVICE,
    EndDeviceStatus: END_DEVICE_STATUS,
    RegistrationResend: REGISTRATION_RESEND,
    Register: REGISTER,
    DeviceLocation: DEVICE_LOCATION,
    LogicalLocation: LOGICAL_LOCATION,
    UsagePoint: USAGE_POINT,
    TimeSeriesAssignment: TIME_SERIES_ASSIGNMENT,
    TimeSeriesDay: TIME_SERIES_DAY,
    TimeSeriesLook: TIME_SERIES_LOOK,
    TimeSeriesUpload: TIME_SERIES_UPLOAD,
    MeterReading: METER_READING,
    ReadingVerdict: READING_VERDICT,
    MeterReadingDocument: METER_READING_DOCUMENT,
    DeterminantSetAssignment: DETERMINANT_SET_ASSIGNMENT,
    EndDeviceControl: END_DEVICE_CONTROL,
    DeviceLimit: DEVICE_LIMIT,
    LoadControlEvent: LOAD_CONTROL_EVENT,
    EndDeviceEvent: END_DEVICE_EVENT,
    EventWindow: EVENT_WINDOW,
    Command: COMMAND,
    ExceptionCase: EXCEPTION_CASE,
    DayTemperature: DAY_TEMPERATURE,
    UnheardTime: UNHEARD_TIME,
}


#: Pages (of 4 KiB) in SQLite's log before a commit moves them to the file: pages written again and again move once.
_CHECKPOINT_PAGES: Final = 4096

#: How often a connection is asked the same before the server keeps it parsed, and how much it keeps at most: what MDUS
#: asks, it asks all day long.
_PREPARED_AFTER: Final = 1
_PREPARED_MOST: Final = 300

#: SQLSTATE of a deadlock and of a serialization failure.
_COLLISIONS: Final = frozenset({"40P01", "40001"})


def is_collision(error: BaseException) -> bool:
    """Tell whether a transaction failed only because of another at the same time: it is to be tried again."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _COLLISIONS


class UnitOfWork:
    """One transaction: what services may ask of storage, and the connection for the workers' own statements."""

    def __init__(self, connection: Connection, *, settings: Settings, holds: bool = True) -> None:
        """Take a transaction under way; without `holds` it holds none of the rows it loads."""
        self.connection = connection
        self.settings = settings
        self._holds = holds

    @property
    def is_alone(self) -> bool:
        """Tell whether nothing can be written beside this transaction: SQLite has one writer."""
        return self.connection.dialect.name == "sqlite"

    def looking(self) -> UnitOfWork:
        """Return this unit of work for looking only: what it loads is not held, so it waits for nobody."""
        return UnitOfWork(self.connection, settings=self.settings, holds=False)

    def load(
        self, kind: type[V], by: Sequence[str], keys: Collection[tuple[Any, ...]], *, lock: bool = True
    ) -> list[V]:
        """Return the values of a kind whose attributes `by` equal one of `keys`: one query for the whole batch.

        Rows are held until the transaction ends, so that what is decided from them stays true.
        """
        return TABLES[kind].read(self.connection, by, keys, lock=lock and self._holds) if keys else []

    def load_commands(self, item_ids: Collection[int]) -> list[Command]:
        """Return the commands these inbox items own, with what became of them."""
        keys = [str(item_id) for item_id in item_ids]
        return self._commands_of(OwnerKind.ITEM, keys)

    def load_commands_of_documents(self, owner_keys: Collection[str]) -> list[Command]:
        """Return the commands that meter reading documents own, by `document_owner` of each."""
        return self._commands_of(OwnerKind.DOCUMENT, owner_keys)

    def load_provisionings(self, devices: Collection[tuple[str, str]]) -> list[Command]:
        """Return what head ends were told of devices (sender system, device id), oldest first."""
        return provisionings_of(self.connection, {registry_owner(*device) for device in devices})

    def _commands_of(self, kind: OwnerKind, keys: Collection[str]) -> list[Command]:
        return commands_of(self.connection, owner_kind=kind, owner_keys=keys, lock=self._holds) if keys else []

    def load_open_commands(self, kind: CommandKind, devices: Collection[tuple[str, str]]) -> list[Command]:
        """Return the commands of a kind for devices (sender system, device id) that have not ended."""
        return device_limit.open_commands(self.connection, kind, devices)

    def load_clients(self, names: Collection[str]) -> list[Client]:
        """Return those of the clients, as `Origin.client` names them, whose tokens are in force."""
        return clients_named(self.connection, names)

    def readings_of(self, commands: Collection[Command]) -> list[MeterReading]:
        """Return the readings of the devices of commands, taken since each was to be carried out."""
        return readings_of(self.connection, commands)

    def documents_leaving(self, sent: Sequence[MeterReadingDocument]) -> list[MeterReadingDocument]:
        """Return those of the documents whose result is stored for sending and has not arrived at SAP yet."""
        return documents.leaving(self.connection, sent) if sent else []

    def documents_unanswered(self, ordered: Sequence[MeterReadingDocument]) -> list[MeterReadingDocument]:
        """Return those of the documents whose order's confirmation has not arrived at SAP yet."""
        return documents.unanswered_orders(self.connection, ordered) if ordered else []

    def documents_due_for_result(self, limit: int) -> list[MeterReadingDocument]:
        """Claim documents whose value is due to SAP."""
        return documents.due_for_result(self.connection, limit=limit)

    def interval_blocks(self, days: Collection[tuple[Channel, date]]) -> dict[tuple[Channel, date], IntervalBlock]:
        """Return what is fit to bill of each of these channels' days: their final versions."""
        return current_blocks(self.connection, days, layer=Layer.FINAL)

    def quality_sets(self, blocks: Collection[IntervalBlock]) -> dict[int, QualitySet]:
        """Return the set of qualities that each mark in these blocks names."""
        marked = [block.qualities for block in blocks if block.qualities.any()]
        marks = np.unique(np.concatenate(marked)).tolist() if marked else []
        return qualities_of(self.connection, marks)

    def time_series_due(self, operation: Operation, limit: int) -> list[TimeSeriesUpload]:
        """Claim uploads to be sent in one way, of each profile the oldest."""
        return uploads_due(self.connection, operation, limit=limit)

    def sent_items(self, answers: Collection[tuple[str, str, str]]) -> list[SentItem]:
        """Return the items of our messages that confirmations answer: (sender system, ReferenceUUID, business key)."""
        return answered.sent_items(self.connection, answers) if answers else []

    def sole_items(self, answers: Collection[tuple[str, str]]) -> list[SentItem]:
        """Return the items of our messages that hold one item only: (sender system, ReferenceUUID)."""
        return answered.sole_items(self.connection, answers) if answers else []

    def note_used(self, blocks: Collection[IntervalBlock]) -> None:
        """Note that somebody acts on these versions: values that come from now on make new ones."""
        note_used(self.connection, blocks)

    def events_due(self, limit: int) -> list[EndDeviceEvent]:
        """Claim events that go to SAP with the next message."""
        return device_events.due(self.connection, limit=limit)

    def devices_to_register(self, *, day: date, needs_register: bool, limit: int) -> list[EndDeviceStatus]:
        """Claim devices whose registered notification is due; see `registry.unregistered`."""
        return registry.unregistered(self.connection, day=day, needs_register=needs_register, limit=limit)

    def registrations_to_resend(self, limit: int) -> list[RegistrationResend]:
        """Claim orders to send registered notifications again."""
        return due_resends(self.connection, limit=limit) if limit else []

    def save(self, changes: Collection[Change]) -> None:
        """Write the changes, each kind in one statement, and wake what was parked for them.

        Of several changes to one key the last counts; commands are all told, for one may take back another.
        """
        removed: dict[type[Value], dict[tuple[object, ...], Remove]] = {}
        written: dict[type[Value], dict[tuple[object, ...], Value]] = {}
        commands: list[Command] = []
        for change in changes:
            if isinstance(change, Remove):
                written.get(change.kind, {}).pop(change.key, None)
                removed.setdefault(change.kind, {})[change.key] = change
            elif isinstance(change, Command):
                commands.append(change)
            else:
                written.setdefault(type(change), {})[change.key] = change
        for kind, keys in removed.items():
            TABLES[kind].remove(self.connection, tuple(keys))
        for kind, values in written.items():
            if values:
                TABLES[kind].write(self.connection, tuple(values.values()))
        if commands:
            save_commands(self.connection, commands)
        came = [value for values in written.values() for value in values.values()]
        went = [removal for removals in removed.values() for removal in removals.values()]
        names = {name for some in (came, went, commands) for change in some for name in change.wakes}
        announce(self.connection, names)
        wake_parked(self.connection, names)


class Database:
    """The one database of an installation; `begin` opens the transactions.

    On SQLite all writers, of this process and of others, pass a turnstile and begin IMMEDIATE, so that none fails for
    another and none waits long.
    """

    def __init__(self, url: str, *, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings({})
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writers = Turnstile(self._file(), patience=self.settings.database.timeout_seconds)
        self.engine = _engine(url, settings=self.settings)

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        """Open a transaction that writes: committed at the end of the block, rolled back when it raises.

        Within `as_one` it is a part of that transaction, and rolled back by itself when it raises.
        """
        whole = _WHOLE.get()
        with self._transaction() if whole is None or whole.database is not self else whole.part() as uow:
            yield uow

    @contextmanager
    def as_one(self, first: Callable[[UnitOfWork], None]) -> Iterator[Whole]:
        """Make one transaction of all that the caller begins in this block: committed at its end, or none of it.

        It is opened when the first of them begins, and `first` is done in it before anything else; what that raises
        ends the block. For one thread: what is handed to others is theirs.
        """
        with ExitStack() as opened:
            whole = Whole(self, opened, first)
            token = _WHOLE.set(whole)
            try:
                yield whole
            finally:
                _WHOLE.reset(token)

    @contextmanager
    def _transaction(self) -> Iterator[UnitOfWork]:
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield UnitOfWork(connection, settings=self.settings)
            return
        with (
            self._writers.turn(),
            self.engine.connect() as connection,
            connection.execution_options(writes=True).begin(),
        ):
            yield UnitOfWork(connection, settings=self.settings)

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        """Open a transaction that only reads; it never waits for a writer.

        Within `as_one` it sees what the parts before it have written. It ends by a commit though there is nothing to
        keep: after a rollback the driver forgets all statements the server has prepared for it.
        """
        whole = _WHOLE.get()
        if whole is not None and whole.database is self and whole.has_begun:
            with whole.part() as uow:
                yield uow
            return
        with self.engine.connect() as connection:
            yield UnitOfWork(connection, settings=self.settings)
            connection.commit()

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
        self._writers.close()

    def _file(self) -> Path | None:
        """Return the file of a SQLite database, None for one in memory or elsewhere."""
        name = self.url.database
        return Path(name) if self.is_sqlite and name and name != ":memory:" and not name.startswith("file:") else None


class Whole:
    """One transaction of several parts, of which none need know of the others; see `Database.as_one`."""

    def __init__(self, database: Database, opened: ExitStack, first: Callable[[UnitOfWork], None]) -> None:
        self.database = database
        self._opened = opened
        self._first = first
        self._uow: UnitOfWork | None = None

    @property
    def has_begun(self) -> bool:
        """Tell whether any part has begun."""
        return self._uow is not None

    @contextmanager
    def part(self) -> Iterator[UnitOfWork]:
        """Begin a part, and the transaction with the first."""
        if self._uow is None:
            uow = self._opened.enter_context(self.database._transaction())
            self._first(uow)
            self._uow = uow
        with self._uow.connection.begin_nested():
            yield self._uow


#: What the parts that this thread, or task, begins belong to.
_WHOLE: Final[ContextVar[Whole | None]] = ContextVar("whole", default=None)


class StoredClock:
    """Business time as the database tells it: real, or steered by the simulated clock's row.

    The row is read again after `refresh` real seconds, so that a steered clock is seen by every process at once.
    """

    def __init__(self, database: Database, *, simulated: bool, refresh: float = 0.1) -> None:
        self._database = database
        self._simulated = simulated
        self._refresh = refresh
        self._read_at = -1e9
        self._lock = threading.Lock()
        self._time: SimulatedTime | None = None

    def now(self) -> datetime:
        """Return the present business instant, aware UTC."""
        real = datetime.now(UTC)
        if not self._simulated:
            return real
        with self._lock:
            if real.timestamp() - self._read_at > self._refresh:
                with self._database.read() as uow:
                    self._time = simulated_time(uow.connection)
                self._read_at = real.timestamp()
            return real if self._time is None else self._time.at(real)

    def steered_at(self) -> datetime | None:
        """Return the real instant at which the clock was steered last, as now() has seen it; None on the real clock."""
        return None if self._time is None else self._time.anchor

    def forget(self) -> None:
        """Read the row again at the next question: the clock was steered by this process."""
        self._read_at = -1e9


def _with_driver(url: str) -> URL:
    """Return the URL with the PostgreSQL driver that is installed, whatever driver it leaves out."""
    made = make_url(url)
    return made.set(drivername="postgresql+psycopg") if made.drivername == "postgresql" else made


def migrate(url: str, *, applied: Callable[[str], None] = lambda _: None) -> None:
    """Bring the database to the newest schema; creates it where it is empty. `applied` is told each revision."""
    config = Config()
    config.set_main_option("script_location", str(data_folder("migrations")))
    config.attributes["url"] = _with_driver(url)
    config.attributes["applied"] = applied
    alembic.upgrade(config, "head")


def _engine(url: str, *, settings: Settings) -> Engine:
    patience, connections = settings.database.timeout_seconds, settings.database.pool_size
    made = _with_driver(url)
    is_sqlite = made.get_backend_name() == "sqlite"
    engine = create_engine(
        made,
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=patience,
        pool_pre_ping=not is_sqlite,  # a file does not go away; a server restarts
        pool_use_lifo=True,  # a server parses anew what a connection has not been asked before: few of them know it all
    )
    if not is_sqlite:

        @event.listens_for(engine, "connect")
        def _keep_statements(connection: Any, _record: Any) -> None:
            connection.prepare_threshold, connection.prepared_max = _PREPARED_AFTER, _PREPARED_MOST
            # A plan that was kept while a table was small reads all of it when it has grown.
            connection.execute("SET plan_cache_mode = force_custom_plan")
            connection.commit()

        return engine

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin by itself: BEGIN is ours
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
            f"busy_timeout={int(patience * 1000)}",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
