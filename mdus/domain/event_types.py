"""What SAP is told of each type of event: the table config/event_types.toml.

SAP's codes of events are customizing and differ between systems, so none stands in the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from mdus.domain.end_device_event import LateFailure
from mdus.settings import Settings, TableRow, Texts

_PATTERN: Final = re.compile(r"(\*|\d+)(\.(\*|\d+)){3}")

_Code4 = Annotated[str, Field(pattern=r"^\S{1,4}$")]
_Code2 = Annotated[str, Field(pattern=r"^\S{1,2}$")]


def _known_event(event: str) -> str:
    if _PATTERN.fullmatch(event) or event in set(LateFailure):
        return event
    known = ", ".join(LateFailure)
    raise ValueError(f"{event!r} is neither a code such as 3.26.*.85 nor one of MDUS's own events: {known}")


class EventType(TableRow):
    """A row of config/event_types.toml: what SAP reads of the events whose type fits `event`.

    `event` is an IEC 61968-9 code, of which each part may be `*`, or the name of one of MDUS's own events. The most
    specific row counts. `systems` are the sender systems it is for, all without any. `properties` are SAP's codes by
    the names of what the event carries; `text` is its own words, `event` its code. `read_back` has the breaker's
    position read when such an event comes. `closes_case`: with the event SAP knows enough, and MDUS's case is closed.
    """

    event: Annotated[str, AfterValidator(_known_event)]
    systems: Texts = ()
    send: bool = True
    category: _Code4 | None = None
    type: _Code4 | None = None
    severity: _Code2 | None = None
    origin: _Code4 | None = None
    properties: Mapping[str, _Code4] = Field(default_factory=dict)
    read_back: bool = False
    closes_case: bool = False

    @model_validator(mode="after")
    def _says_what_is_sent(self) -> Self:
        if self.send and (self.type is None or self.severity is None):
            raise ValueError("SAP needs type and severity: set both, or send = false")
        return self

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterator[str]:
        """Yield the events that two rows are for."""
        seen: dict[tuple[str, str], str] = {}
        for row in rows:
            for system in row.systems or ("",):
                first = seen.setdefault((row.event, system), row.name)
                if first != row.name:
                    yield f"{row.event} stands in the rows {first} and {row.name}"

    def fits(self, event_type: str) -> bool:
        """Tell whether events of this type are meant."""
        parts, wanted = event_type.split("."), self.event.split(".")
        return len(parts) == len(wanted) and all(one in ("*", part) for one, part in zip(wanted, parts, strict=True))

    @property
    def rank(self) -> tuple[object, ...]:
        """Return what puts the more specific of two rows first: for a system, more parts named, later parts named.

        The later parts say what happened; the first, the type of device, is told differently by different head ends.
        """
        named = [part != "*" for part in self.event.split(".")]
        return (bool(self.systems), sum(named), tuple(reversed(named)))


class EventTypes:
    """The table as it is asked: which row counts for an event."""

    def __init__(self, rows: Iterable[EventType]) -> None:
        self._rows = sorted(rows, key=lambda row: row.rank, reverse=True)
        self._found: dict[tuple[str, str], EventType | None] = {}

    @classmethod
    def of(cls, settings: Settings) -> EventTypes:
        """Return the table that the settings say."""
        return cls(settings.rows("event_types", EventType))

    def find(self, sender_system: str, event_type: str) -> EventType | None:
        """Return the most specific row for events of a type of a sender system, None where no row is for them."""
        key = (sender_system, event_type)
        if key not in self._found:
            fitting = (
                row for row in self._rows if row.fits(event_type) and (not row.systems or sender_system in row.systems)
            )
            self._found[key] = next(fitting, None)
        return self._found[key]

    def sent(self, sender_system: str, event_type: str) -> EventType | None:
        """Return the row by which such events are sent, None where they are not."""
        row = self.find(sender_system, event_type)
        return row if row is not None and row.send else None
