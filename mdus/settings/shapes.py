"""The shapes of the settings: one frozen class per section of `config/mdus.toml` and per row of a table.

A setting has its default, with its meaning, in `config/`; a field here has one only where TOML cannot say "not set" or
where a row may leave it out. To add a section: its class and field here, its defaults in `config/mdus.toml`.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeVar, cast
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    PrivateAttr,
    SecretStr,
    model_validator,
)

MASK: Final = "********"

#: Characters of a text that meters can show, where their head end's kind says nothing else.
LONGEST_TEXT: Final = 160

Key = tuple[str, ...]  # ("http", "port"); of a row ("senders", "prod", "user")


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from None
    return name


def _authorities(file: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{file} holds no certificate authorities in PEM: {error}") from None
    return file


def _split_commas(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _number(value: object) -> object:
    """Return the number a text of the environment stands for; a Literal takes no text for one."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _not_collected(code: str) -> str:
    if code.lstrip("0") == "1":
        raise ValueError("01 is the code of a value that was read: an estimate has to say what it is")
    return code


Zone = Annotated[str, AfterValidator(_known_zone)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]  # in the environment: separated by commas
CaFile = Annotated[FilePath, AfterValidator(_authorities)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]")]
HeadEndUrl = Annotated[str, Field(pattern=r"^(https?|mqtts?)://[^/\s]")]
DatabaseUrl = Annotated[str, Field(pattern=r"^(sqlite|postgresql(\+psycopg)?)://")]
QueueUrl = Annotated[str, Field(pattern=r"^(database$|nats://[^/\s])")]
Status = Annotated[Literal[200, 202], BeforeValidator(_number)]
Whole = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A frozen group of settings; a key it does not know is a problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableRow(Section):
    """A row of a table that one service owns, a file of `config/`."""

    name: str

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterable[str]:
        """Return what is wrong with the rows of a table together, each of which is right by itself."""
        del rows
        return ()


class Auth(Section):
    user: str | None = None
    password: SecretStr | None = None
    default_system: str


class Database(Section):
    url: DatabaseUrl
    pool_size: Whole
    timeout_seconds: Seconds


class Queue(Section):
    url: QueueUrl


class Cis(Section):
    url: HttpUrl | None = None
    user: str | None = None
    password: SecretStr | None = None
    own_system: str
    message_class: Annotated[str, Field(pattern=r"^[^()\s]{1,20}$")]
    timeout_seconds: Seconds
    max_answer_bytes: Whole
    connections: Whole
    bulk_size: Whole
    bulk_bytes: Annotated[int, Field(ge=10_000)]
    ca_file: CaFile | None = None


class Http(Section):
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    answer_status: Status
    max_body_bytes: Whole
    small_message_bytes: Whole
    database_threads: Whole
    shutdown_seconds: Whole


class Workers(Section):
    claim_size: Whole
    lease_seconds: Whole
    poll_seconds: Seconds
    processes: Whole


class Retry(Section):
    base_seconds: Seconds
    cap_seconds: Seconds
    attempts: Whole
    delivery_attempts: Whole


class Parking(Section):
    confirmed_minutes: Whole
    notified_minutes: Whole


class Retention(Section):
    key_days: Annotated[int, Field(ge=400)]
    payload_days: Whole
    case_days: Whole
    audit_days: Annotated[int, Field(ge=400)]
    kpi_days: Whole


class Switching(Section):
    disconnect_expiry_minutes: Whole
    command_timeout_minutes: Whole
    verify_timeout_minutes: Whole
    verify_attempts: Whole
    trusted_state_minutes: Annotated[int, Field(ge=0)]
    least_limit_kw: Annotated[Decimal, Field(ge=0)]
    limit_interval_minutes: Whole
    limit_refusals: Whole


class Reading(Section):
    collection_delay_minutes: Annotated[int, Field(ge=0)]
    attempts: Whole
    attempt_interval_minutes: Whole
    on_demand_timeout_minutes: Whole
    on_demand_interval_minutes: Whole
    confirmation_timeout_minutes: Whole
    send_attempts: Whole
    resend_interval_minutes: Whole
    manual_reasons: Texts
    calculated_type_codes: Texts
    beyond_digits: Literal["refuse", "turn_over"]
    estimate_type_code: Annotated[str, Field(pattern=r"^\S{1,2}$"), AfterValidator(_not_collected)]
    estimate_tolerance_percent: Annotated[float, Field(ge=0)]
    estimate_tolerance: Annotated[float, Field(ge=0)]


class Intervals(Section):
    decimals: Annotated[int, Field(ge=0, le=9)]
    valid_status: Annotated[str, Field(pattern=r"^\S{1,4}$")]
    missing_status: Annotated[str, Field(pattern=r"^\S{1,4}$")]
    skipped_roles: Texts
    backfill_days: Whole
    ask_again_minutes: Annotated[int, Field(ge=0)]
    values_per_message: Whole
    confirmation_timeout_minutes: Whole
    send_attempts: Whole
    resend_interval_minutes: Whole
    query_values: Whole


class Vee(Section):
    estimate_after_minutes: Annotated[int, Field(ge=0)]
    readings_after_minutes: Annotated[int, Field(ge=0)]
    ask_days: Annotated[int, Field(ge=0)]
    holidays: str
    similar_most: Annotated[int, Field(ge=1, le=200)]
    similar_least: Whole


class Billing(Section):
    period_reasons: Texts
    settle_hours: Annotated[int, Field(ge=0)]
    correction_days: Whole
    determinant_set: str
    folder: Path | None = None


class Exceptions(Section):
    work_days: Annotated[tuple[Weekday, ...], BeforeValidator(_split_commas), Field(min_length=1)]
    work_begins: time
    work_ends: time
    holidays: Texts
    area: Literal["postal_code", "parent_installation_point_id"]
    age_class_days: Annotated[tuple[Whole, ...], BeforeValidator(_split_commas), Field(min_length=1)]
    missing_kinds: Texts
    group_members: Annotated[int, Field(ge=2)]
    group_share: Share
    group_window_minutes: Whole
    storm_members: Annotated[int, Field(ge=2)]
    storm_share: Share
    storm_over_share: Share
    storm_window_minutes: Whole
    estimated_percent: Annotated[float, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _works_forward(self) -> Self:
        if self.work_begins >= self.work_ends:
            raise ValueError("work_begins must be before work_ends")
        if self.storm_over_share >= self.storm_share:
            raise ValueError("storm_over_share must be below storm_share, or a storm would end as it begins")
        return self


class RegisterChange(Section):
    new_numbers: Literal["never", "beside_known", "always"]
    empty_list: Literal["reverses_installation", "is_refused"]
    unlisted: Literal["stay", "end"]


class Events(Section):
    repeat_minutes: Annotated[int, Field(ge=0)]
    storm_limit: Whole
    storm_window_minutes: Whole
    area_property: str
    needs_register: bool
    held_days: Whole


class Log(Section):
    format: Literal["console", "json"]
    level: Literal["debug", "info", "warning", "error"]


class Telemetry(Section):
    otlp_url: HttpUrl | None = None
    queue_minutes: Annotated[int, Field(ge=0)]
    disk_free_megabytes: Annotated[int, Field(ge=0)]


class Sender(Section):
    """A row of `senders`: a user of the SOAP side, the systems it may name, and where its answers go.

    What a row leaves out it has from the sections: `url` with its credentials from `[cis]`, `answer_status` from
    `[http]`, `time_zone` from the installation. Without rows there is one, `default`, made of `[auth]`, that may name
    any system.
    """

    name: str
    user: str
    password: SecretStr
    systems: Texts
    default_system: str
    url: HttpUrl | None = None
    url_user: str | None = None
    url_password: SecretStr | None = None
    time_zone: Zone
    answer_status: Status
    single_services: Texts = ()

    def may_send_for(self, system: str) -> bool:
        """Tell whether this sender may name `system` as SenderBusinessSystemID."""
        return "*" in self.systems or system in self.systems


class HeadEnd(Section):
    """A row of `head_ends`: one advanced metering system, reached through the adapter `kind`.

    One that only delivers has no `url`. `options` are the kind's own settings.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    kind: str
    url: HeadEndUrl | None = None
    user: str | None = None
    password: SecretStr | None = None
    callback_url: HttpUrl | None = None
    callback_user: str | None = None
    callback_password: SecretStr | None = None
    ca_file: CaFile | None = None
    ams_ids: Texts = ()
    vendor: str | None = None
    time_zone: Zone  # the installation's when the row says nothing
    timeout_seconds: Seconds = 30.0
    max_answer_bytes: Whole = 64 * 1024 * 1024
    devices_per_call: Whole = 1000
    calls: Whole = 4
    outstanding: Whole | None = None
    outstanding_per_concentrator: Whole | None = None
    poll_seconds: Seconds | None = None
    options: Mapping[str, Any] = {}


Shape = TypeVar("Shape", bound=BaseModel)
Made = TypeVar("Made", bound="FromSettings")


class FromSettings(Protocol):
    """Something that is made of the settings, and never changes."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say of it."""
        ...


class Offered(Protocol):
    """Says what capabilities a head end of one kind offers, by its row."""

    def __call__(self, head_end: HeadEnd, /) -> frozenset[str]:
        """Return the names of the capabilities."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One setting as `mdus check --show` prints it."""

    key: str
    value: str
    origin: str


class Settings(Section):
    """All settings of one process. Tables MDUS adds beside the sections are had from `table` and `rows`."""

    time_zone: Zone
    registered_when: Literal["seen", "seen_and_register"]
    auth: Auth
    database: Database
    queue: Queue
    cis: Cis
    http: Http
    workers: Workers
    retry: Retry
    parking: Parking
    retention: Retention
    switching: Switching
    reading: Reading
    register_change: RegisterChange
    intervals: Intervals
    vee: Vee
    billing: Billing
    events: Events
    exceptions: Exceptions
    log: Log
    telemetry: Telemetry
    time_zones: dict[str, Zone]
    senders: tuple[Sender, ...]
    head_ends: tuple[HeadEnd, ...]

    _tables: Mapping[str, tuple[Mapping[str, Any], ...]] = PrivateAttr(default_factory=dict)
    _offered: Mapping[str, Offered] = PrivateAttr(default_factory=dict)
    _longest_texts: Mapping[str, int] = PrivateAttr(default_factory=dict)
    _origins: Mapping[Key, str] = PrivateAttr(default_factory=dict)
    _made: dict[type, object] = PrivateAttr(default_factory=dict)

    def made(self, kind: type[Made]) -> Made:
        """Return what `kind.of` makes of these settings: made when it is first asked for, then the same."""
        if kind not in self._made:
            self._made[kind] = kind.of(self)
        return cast("Made", self._made[kind])

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return these settings with other values; of those nothing is made yet."""
        copied = super().model_copy(update=update, deep=deep)
        copied._made = {}
        return copied

    def table(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return the rows of the table `name`, a file of `config/` owned by one service, merged by their names."""
        return self._tables[name]

    def rows(self, name: str, shape: type[Shape]) -> tuple[Shape, ...]:
        """Return the rows of the table `name` as values of `shape`; `load_settings(tables=...)` has checked them."""
        return tuple(shape.model_validate(dict(row)) for row in self._tables[name])

    def offered_by(self, head_end: HeadEnd) -> frozenset[str] | None:
        """Return the capabilities that a head end offers, None where `load_settings` was told of none of its kind."""
        offered = self._offered.get(head_end.kind)
        return None if offered is None else offered(head_end)

    def longest_text_of(self, kind: str) -> int:
        """Return how many characters of a text the meters of a kind of head end can show."""
        return self._longest_texts.get(kind, LONGEST_TEXT)

    def sender_for(self, system: str) -> Sender | None:
        """Return who speaks for the sender system `system`: the row that names it, else one that may name any."""
        named = (sender for sender in self.senders if system in sender.systems)
        any_system = (sender for sender in self.senders if "*" in sender.systems)
        return next(named, None) or next(any_system, None)

    def shown(self) -> tuple[Shown, ...]:
        """List every setting with its value, secrets masked, and its origin, in the order of the files."""
        values = {name: getattr(self, name) for name in type(self).model_fields} | dict(self._tables)
        return tuple(
            Shown(key=".".join(key), value=text, origin=self._origins.get(key, "default" if text else "not set"))
            for key, text in _flatten((), values)
        )

    def secrets(self) -> frozenset[str]:
        """Return the text of every secret, for the log to hide."""
        return frozenset(_secrets_in(self))


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, tuple):
        for inner in value:
            yield from _secrets_in(inner)


def _flatten(key: Key, value: object) -> Iterator[tuple[Key, str]]:
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flatten((*key, name), inner)
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel | Mapping):
        for row in value:
            name = row["name"] if isinstance(row, Mapping) else row.name
            yield from _flatten((*key, name), row)
    elif isinstance(value, SecretStr):
        yield key, MASK
    else:
        yield key, "" if value is None else masked(str(value))


def masked(text: str) -> str:
    """Return `text` with the passwords of the URLs in it hidden."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]+@", rf"\1:{MASK}@", text)
