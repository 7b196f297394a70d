"""Events of head ends: codes of IEC 61968-9 as peers write them, MultiSpeak's texts, numbers of meters and of vendors.

One table, config/field_events.toml, onto the codes that config/event_types.toml goes on from to SAP. A row of the head
end goes before one of its vendor, that before one for all; then the row that begins later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field

from mdus.domain.mapping_level import MappingRow
from mdus.settings import HeadEnd, Settings, Texts

_CODE: Final = re.compile(r"\d{1,5}(\.\d{1,5}){3}", re.ASCII)
_ALIAS: Final = re.compile(r"(\d{1,5}|\*)(\.(\d{1,5}|\*)){2,3}", re.ASCII)

#: Codes of IEC 61968-9 in its second edition: EndDeviceEventType.
IEC: Final = "iec"

#: Schemes whose codes are patterns: each part may be `*`.
_PATTERNED: Final = frozenset({IEC, "edition_1"})


def _event(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError(f"{text!r} is no EndDeviceEventType such as 3.26.0.85")
    return text


def _aliases(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        if not _ALIAS.fullmatch(text):
            raise ValueError(f"{text!r} is neither a code such as 3.26.38.49 nor the last three parts of one")
    return texts


class FieldEventRow(MappingRow):
    """A row of config/field_events.toml: a type of event, and what head ends call it.

    `event` is its EndDeviceEventType. `iec` are other codes for it, of three parts (whatever the type of device) or
    four, each of which may be `*`; `codes` the codes of other schemes.
    """

    event: Annotated[str, AfterValidator(_event)]
    iec: Annotated[Texts, AfterValidator(_aliases)] = ()
    codes: Mapping[str, Texts] = Field(default_factory=dict)
    note: str | None = None

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterator[str]:
        """Yield the codes that two rows for the same head ends and times explain as different events."""
        seen: dict[tuple[object, ...], Self] = {}
        for row in rows:
            for scheme, codes in row.schemes.items():
                for code in codes:
                    first = seen.setdefault((*row.scope, scheme, _plain(code)), row)
                    if first is not row:
                        yield f"{event_code(scheme, code)} stands in {first.name} and in {row.name}"

    @property
    def schemes(self) -> Mapping[str, tuple[str, ...]]:
        """Return its codes by scheme; of IEC the last three parts of its own are one."""
        own = self.event.partition(".")[2]
        return {IEC: (own, *(alias for alias in self.iec if alias != own))} | dict(self.codes)

    def weight(self, scheme: str, code: str) -> int | None:
        """Return how much of a code the row names, None where it does not explain it."""
        known = self.schemes.get(scheme, ())
        if scheme not in _PATTERNED:
            return 0 if _plain(code) in {_plain(each) for each in known} else None
        return max((weight for each in known if (weight := _fit(each, code)) is not None), default=None)


class EventMap:
    """The rows of config/field_events.toml that are for one head end."""

    def __init__(self, rows: Sequence[FieldEventRow], *, head_end: HeadEnd | None = None) -> None:
        """Take rows; without `head_end` those for all."""
        levels = ((row.level(head_end), row) for row in rows)
        near = [(level, row) for level, row in levels if level is not None]
        self._rows = sorted(near, key=lambda each: (each[0], each[1].since), reverse=True)
        self._found: dict[tuple[str, str], tuple[FieldEventRow, ...]] = {}

    @classmethod
    def of(cls, settings: Settings, *, head_end: HeadEnd | None = None) -> EventMap:
        """Return what the settings say for a head end; without one, what they say for all."""
        return cls(settings.rows("field_events", FieldEventRow), head_end=head_end)

    def by_iec(self, code: str, *, at: datetime | None = None) -> str | None:
        """Return the one EndDeviceEventType for a code that peers may write in several ways, None for what is no code.

        The type of device is the one told; 0, which says nothing, becomes the row's. A code without a row is itself.
        """
        code = code.strip()
        if not _CODE.fullmatch(code):
            return None
        found = self.find(IEC, code, at=at)
        device = code.partition(".")[0]
        return code if found is None else found if int(device) == 0 else f"{device}.{found.partition('.')[2]}"

    def find(self, scheme: str, code: str, *, at: datetime | None = None) -> str | None:
        """Return the EndDeviceEventType that a code of a scheme had at an instant (None: by the newest rows)."""
        rows = self._found.get((scheme, code))
        if rows is None:
            rows = self._explaining(scheme, code)
            if rows and len(self._found) < 4096:
                self._found[scheme, code] = rows
        return next((row.event for row in rows if row.is_valid_at(at)), None)

    def to(self, scheme: str, event_type: str) -> str | None:
        """Return the first code of a scheme for an event; of IEC the event's own. What a pattern leaves open is 0."""
        last = event_type.partition(".")[2]
        if scheme == IEC:
            return event_type
        found = (row.codes.get(scheme, ()) for _, row in self._rows if row.event.partition(".")[2] == last)
        first = next((codes[0] for codes in found if codes), None)
        return first.replace("*", "0") if first is not None and scheme in _PATTERNED else first

    def _explaining(self, scheme: str, code: str) -> tuple[FieldEventRow, ...]:
        found = []
        for level, row in self._rows:
            weight = row.weight(scheme, code)
            if weight is not None:
                found.append((level, weight, row.since, row))
        return tuple(each[-1] for each in sorted(found, key=lambda each: each[:3], reverse=True))


def event_code(scheme: str, code: str) -> str:
    """Return a code with its scheme, as it is told of a code that no row explains."""
    return f"{scheme}: {code}"


def _fit(pattern: str, code: str) -> int | None:
    """Return how many parts of a code a pattern names, None where it does not fit; of three, the first is open."""
    parts, told = pattern.split("."), code.split(".")
    if len(parts) == len(told) - 1:
        parts = ["*", *parts]
    fits = len(parts) == len(told) and all(part in ("*", number) for part, number in zip(parts, told, strict=True))
    return sum(part != "*" for part in parts) if fits else None


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
