"""Channels of head ends: ReadingTypes, MultiSpeak's and CMEP's names, OBIS codes and whatever else, onto our channels.

One table, config/channels.toml. A row of the head end goes before one of its vendor, that before one for all; then the
name that says more, then the row that begins later. What no row explains is told as `Unmapped`, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mdus.domain.channel_name import ChannelName, CmepName, Mrid, MultiSpeakName, ObisName, OtherName
from mdus.domain.mapping_level import MappingRow
from mdus.domain.obis import Obis, printed
from mdus.domain.reading_type import UNITS, ReadingType, scaled, times
from mdus.domain.unit import Units
from mdus.settings import HeadEnd, Section, Settings

Named = TypeVar("Named", Mrid, MultiSpeakName, CmepName, OtherName)

#: So many names are remembered with what explains them; a head end has a few dozen.
_REMEMBERED: Final = 4096


class ChannelKind(StrEnum):
    """What a value of a channel is."""

    REGISTER = "register"  # what a register shows
    INTERVAL = "interval"  # what passed in an interval
    DEMAND = "demand"  # the highest or lowest demand of a period, at its instant
    INSTANTANEOUS = "instantaneous"  # what was measured at an instant


def _exact(value: object) -> object:
    if isinstance(value, float):
        what = 'write it as text, such as "0.001": a number with a point is not exact'
        raise ValueError(what)  # noqa: TRY004 - pydantic reads it
    return value


def _obis(text: str) -> str:
    return str(Obis.parse(text))


def _mrid(text: str) -> str:
    return str(ReadingType.parse(text))


class NameRow(Section):
    """A name of a channel in one protocol. A told value times `factor` is in `kept_as`, without it the row's unit."""

    kept_as: str | None = None
    factor: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0)] = Decimal(1)


class MridRow(NameRow):
    """A ReadingType that is the channel beside the row's own, and beside those held to be the same as it."""

    mrid: Annotated[str, AfterValidator(_mrid)]


class MultiSpeakRow(NameRow):
    """What a readingValue has to say to be the channel.

    `field` and `tou` must be the same; a `field` of `*` may be any. What else is empty here it may say or not.
    """

    field: str = ""
    value_type: str = ""
    unit: str = ""
    phase: str = ""
    tou: str = ""
    service: str = ""
    code: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> MultiSpeakRow:
        if not (self.field or self.value_type or self.unit or self.code):
            raise ValueError("a name of MultiSpeak states field, value_type, unit or code")
        return self

    def weight(self, name: MultiSpeakName) -> int:
        """Return how much of a told name this goes by, 0 where it is another; units are not looked at."""
        stated = [
            (weight, _plain(said) == _plain(told))
            for weight, said, told in (
                (32, self.code, name.code),
                (8, self.value_type, name.value_type),
                (4, self.service, name.service),
                (2, self.phase, name.phase),
            )
            if said
        ]
        is_field = self.field == "*" or _plain(self.field) == _plain(name.field)
        if not is_field or _plain(self.tou) != _plain(name.tou) or not all(same for _, same in stated):
            return 0
        return 2 + sum(weight for weight, _ in stated) + (16 if self.field not in ("", "*") else 0)


class CmepRow(NameRow):
    """Commodity, unit and time of use of a CMEP record; `is_irregular`: only of one without an interval."""

    commodity: Annotated[str, Field(min_length=1)]
    unit: Annotated[str, Field(min_length=1)]
    label: str = ""
    is_irregular: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """The channel behind a head end's name. A told value times `factor` is in `unit`, as config/units.toml has it.

    Without a unit it is a mere number, or in whatever unit its register is. `minutes` is the length of an interval,
    where the name says.
    """

    row: str
    kind: ChannelKind
    reading_type: str
    unit: str | None
    factor: Decimal = Decimal(1)
    minutes: int | None = None

    def value(self, told: Decimal) -> Decimal:
        """Return a told value in `unit`, exactly."""
        return times(told, self.factor)


class ChannelRow(MappingRow):
    """A row of config/channels.toml: a channel of ours, and what head ends call it.

    `obis` is the reading type it is kept under, `mrid` the ReadingType it is asked for by; `mrids`, `multispeak`,
    `cmep` and `names` are what it may be told as, `obis_codes` patterns of OBIS codes.
    """

    obis: Annotated[str, AfterValidator(_obis)]
    kind: ChannelKind
    unit: str
    mrid: Annotated[str, AfterValidator(_mrid)] | None = None
    mrids: tuple[MridRow, ...] = ()
    multispeak: tuple[MultiSpeakRow, ...] = ()
    cmep: tuple[CmepRow, ...] = ()
    obis_codes: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    note: str | None = None

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterator[str]:
        """Yield the names that two rows for the same head ends and times explain as different channels."""
        seen: dict[tuple[object, ...], Self] = {}
        for row in rows:
            for name in row.said:
                first = seen.setdefault((*row.scope, name), row)
                if first is not row:
                    yield f"{name} stands in {first.name} and in {row.name}"

    @property
    def said(self) -> Iterator[str]:
        """Yield every name of the row, as it is printed."""
        mrids = [*([self.mrid] if self.mrid else []), *(each.mrid for each in self.mrids)]
        yield from dict.fromkeys(str(Mrid(mrid)) for mrid in mrids)
        yield from (str(self._multispeak_name(each)).lower() for each in self.multispeak)
        yield from (str(_cmep_name(each)) for each in self.cmep)
        yield from (str(ObisName(code)) for code in self.obis_codes)
        yield from (str(OtherName(source, name)).lower() for source, names in self.names.items() for name in names)

    def explained(self, name: ChannelName, units: Units) -> tuple[int, Mapped] | None:
        """Return the channel that a name means by this row, and how much of the name it goes by; None for none."""
        match name:
            case Mrid():
                return self._by_mrid(name)
            case MultiSpeakName():
                return _best(self._by_multispeak(name, units))
            case CmepName():
                return _best(self._by_cmep(name))
            case ObisName():
                return self._by_obis(name)
            case OtherName():
                known = self.names.get(name.source, ())
                return (0, self._mapped()) if _plain(name.name) in {_plain(each) for each in known} else None

    def _mapped(self, **known: Any) -> Mapped:
        facts = {"row": self.name, "kind": self.kind, "reading_type": self.obis, "unit": self.unit or None}
        return Mapped(**facts | known)

    def _kept(self, name: NameRow, **known: Any) -> Mapped:
        unit = self.unit if name.kept_as is None else name.kept_as
        return self._mapped(**{"unit": unit or None, "factor": name.factor} | known)

    def _by_mrid(self, name: Mrid) -> tuple[int, Mapped] | None:
        try:
            told = ReadingType.parse(name.mrid)
        except ValueError:
            return None
        for each in self.mrids:
            known = ReadingType.parse(each.mrid)
            if known == told:
                return 2, self._kept(each, minutes=told.minutes)
        if self.mrid is None:
            return None
        own = ReadingType.parse(self.mrid)
        if own.plain != told.plain:
            return None
        alike = own.unit == told.unit
        mapped = self._mapped(
            unit=(self.unit or None) if alike else UNITS[told.unit],
            factor=scaled(Decimal(1), told.multiplier - (own.multiplier if alike else 0)),
            minutes=told.minutes,
        )
        return 2 if own == told else 1, mapped

    def _by_obis(self, name: ObisName) -> tuple[int, Mapped] | None:
        try:
            code = _obis(name.obis)
        except ValueError:
            return None
        found = code == self.obis or any(fnmatchcase(code, printed(pattern)) for pattern in self.obis_codes)
        return (int(code == self.obis), self._mapped()) if found else None

    def _by_multispeak(self, name: MultiSpeakName, units: Units) -> Iterator[tuple[int, Mapped]]:
        if name.is_interval is not (self.kind is ChannelKind.INTERVAL):
            return
        for row in self.multispeak:
            if not row.weight(name):
                continue
            unit = self._unit_of(row, name.unit, units)
            if unit is not None:
                yield row.weight(name) + bool(row.unit), self._kept(row, unit=unit or None)

    def _unit_of(self, row: MultiSpeakRow, told: str, units: Units) -> str | None:
        """Return the unit of a told value; where the name leaves it open any that brings it to the row's is fine."""
        kept = self.unit if row.kept_as is None else row.kept_as
        if row.unit:
            return kept if _same_unit(row.unit, told) else None
        if not told or not kept or _same_unit(told, kept):
            return kept
        known = any(_same_unit(told, text) for each in units.rows for text in (each.code, *each.texts))
        return told if known and units.ratio(told=told, wanted=kept) is not None else None

    def _by_cmep(self, name: CmepName) -> Iterator[tuple[int, Mapped]]:
        for row in self.cmep:
            if (row.commodity, row.unit, row.label) == (name.commodity, name.unit, name.label):
                if row.is_irregular and not name.is_irregular:
                    continue
                yield int(row.is_irregular), self._kept(row)

    def _multispeak_name(self, row: MultiSpeakRow) -> MultiSpeakName:
        told = row.model_dump(exclude={"kept_as", "factor"})
        return MultiSpeakName(**told, is_interval=self.kind is ChannelKind.INTERVAL)

    def to_mrid(self) -> Mrid | None:
        """Return the ReadingType that the channel is asked for by."""
        return Mrid(self.mrid) if self.mrid is not None else None

    def to_name(self, source: str) -> OtherName | None:
        """Return the first name that a source has for the channel."""
        return next((OtherName(source, name) for name in self.names.get(source, ())), None)

    def to_multispeak(self) -> MultiSpeakName | None:
        """Return the first name that MultiSpeak has for the channel."""
        if not self.multispeak:
            return None
        name = self._multispeak_name(self.multispeak[0])
        return replace(name, field="") if name.field == "*" else name

    def to_cmep(self) -> CmepName | None:
        """Return the first name that CMEP has for the channel."""
        return _cmep_name(self.cmep[0]) if self.cmep else None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row that explains a name, and what it goes before."""

    row: ChannelRow
    level: int
    weight: int
    mapped: Mapped


class ChannelMap:
    """The rows of config/channels.toml that are for one head end."""

    def __init__(
        self, rows: Sequence[ChannelRow], *, head_end: HeadEnd | None = None, units: Units | None = None
    ) -> None:
        """Take rows and units; without `head_end` the rows for all."""
        levels = ((row, row.level(head_end)) for row in rows)
        near = [(level, row) for row, level in levels if level is not None]
        self._rows = sorted(near, key=lambda each: (each[0], each[1].since), reverse=True)
        self._units = units or Units()
        self._found: dict[ChannelName, tuple[_Candidate, ...]] = {}

    @classmethod
    def of(cls, settings: Settings, *, head_end: HeadEnd | None = None) -> ChannelMap:
        """Return what the settings say for a head end; without one, what they say for all."""
        return cls(settings.rows("channels", ChannelRow), head_end=head_end, units=Units.of(settings))

    def find(self, name: ChannelName, *, at: datetime | None = None) -> Mapped | None:
        """Return the channel that a name meant at an instant (None: by the newest rows), None where no row says."""
        candidates = self._found.get(name)
        if candidates is None:
            candidates = tuple(self._candidates(name))
            if candidates and len(self._found) < _REMEMBERED:
                self._found[name] = candidates
        return next((each.mapped for each in candidates if each.row.is_valid_at(at)), None)

    def to_mrid(self, reading_type: str, *, minutes: int | None = None, at: datetime | None = None) -> str | None:
        """Return the ReadingType to ask for a channel by, of an interval channel in intervals of so many minutes."""
        name = self._to(reading_type, ChannelRow.to_mrid, at)
        if name is None:
            return None
        if minutes is None:
            return name.mrid
        return str(ReadingType.parse(name.mrid).over(minutes))

    def mrids(self, kinds: Collection[ChannelKind], *, period_from: datetime, period_to: datetime) -> tuple[str, ...]:
        """Return the ReadingTypes to ask for all channels of some kinds by, as they are meant at any time of a period.

        At the instant `period_from` alone where the period ends there.
        """
        codes = dict.fromkeys(row.obis for _, row in self._rows if row.kind in kinds)
        changes = {row.valid_from for _, row in self._rows if row.valid_from is not None}
        instants = [period_from, *sorted(at for at in changes if period_from < at < period_to)]
        names = (self.to_mrid(code, at=at) for at in instants for code in codes)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def to_multispeak(self, reading_type: str, *, at: datetime | None = None) -> MultiSpeakName | None:
        """Return what MultiSpeak calls a channel."""
        return self._to(reading_type, ChannelRow.to_multispeak, at)

    def to_cmep(self, reading_type: str, *, at: datetime | None = None) -> CmepName | None:
        """Return what CMEP calls a channel."""
        return self._to(reading_type, ChannelRow.to_cmep, at)

    def to_name(self, source: str, reading_type: str, *, at: datetime | None = None) -> str | None:
        """Return what a source calls a channel."""
        name = self._to(reading_type, lambda row: row.to_name(source), at)
        return None if name is None else name.name

    def _to(
        self, reading_type: str, name_of: Callable[[ChannelRow], Named | None], at: datetime | None
    ) -> Named | None:
        """Return the nearest row's name of a channel that is read back as the channel.

        A name that another row has taken over, for this head end or by now, asks for what that row says.
        """
        code = printed(reading_type)
        found = (name_of(row) for _, row in self._rows if row.obis == code and row.is_valid_at(at))
        return next((name for name in found if name is not None and self._is_read_as(code, name, at)), None)

    def _is_read_as(self, code: str, name: ChannelName, at: datetime | None) -> bool:
        mapped = self.find(name, at=at)
        return mapped is not None and mapped.reading_type == code

    def _candidates(self, name: ChannelName) -> list[_Candidate]:
        found = []
        for level, row in self._rows:
            explained = row.explained(name, self._units)
            if explained is not None:
                found.append(_Candidate(row, level, *explained))
        return sorted(found, key=lambda each: (each.level, each.weight, each.row.since), reverse=True)


def _cmep_name(row: CmepRow) -> CmepName:
    return CmepName(commodity=row.commodity, unit=row.unit, label=row.label, is_irregular=row.is_irregular)


def _best(found: Iterator[tuple[int, Mapped]]) -> tuple[int, Mapped] | None:
    return max(found, key=lambda each: each[0], default=None)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _same_unit(one: str, other: str) -> bool:
    """Tell whether two texts are one unit, in capitals or not; but mW is no MW."""
    if _plain(one) != _plain(other):
        return False
    has_prefix = one[:1] in "mM" and one[1:2].isalpha()
    return not has_prefix or one[:1] == other[:1]
