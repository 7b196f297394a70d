"""Which other meters and stations say something of a meter: by config/neighbours.toml, and by OBIS codes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from mdus.domain.channel import Channel
from mdus.domain.obis import Obis
from mdus.domain.unit import Units
from mdus.settings import Section, Settings, Texts

Text = Annotated[str, Field(min_length=1)]
Area = Literal["postal_code", "parent_installation_point_id"]

#: OBIS group C, of all phases and of each (+ 20, 40, 60): active energy drawn and fed in, reactive energy likewise.
_SIBLINGS: Final = {
    phase + one: phase + other for phase in (0, 20, 40, 60) for one, other in ((1, 3), (3, 1), (2, 4), (4, 2))
}
_ACTIVE: Final = frozenset(phase + one for phase in (0, 20, 40, 60) for one in (1, 2))
_ELECTRICITY: Final = 1


class CheckMeterRow(Section):
    """A row of `check_meters`: a device that checks what another measures, on local days, half-open."""

    name: str
    sender_system: Text | None = None
    main: Text
    check: Text
    reading_type: Text | None = None
    check_reading_type: Text | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> CheckMeterRow:
        if self.main == self.check and self.check_reading_type in (None, self.reading_type):
            raise ValueError("a meter does not check itself: name another check, or another check_reading_type")
        if self.check_reading_type is not None and self.reading_type is None:
            raise ValueError("check_reading_type tells the same as one reading_type of the main meter: name that too")
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to comes after valid_from")
        return self

    def checks(self, channel: Channel, day: date) -> bool:
        """Tell whether the row is about the values of a channel on a local day."""
        return (
            self.main == channel.device_id
            and self.sender_system in (None, channel.sender_system)
            and self.reading_type in (None, channel.reading_type)
            and (self.valid_from is None or self.valid_from <= day)
            and (self.valid_to is None or day < self.valid_to)
        )


class SimilarGroupRow(Section):
    """A row of `similar_groups`: devices that use alike."""

    name: str
    sender_system: Text | None = None
    devices: Annotated[Texts, Field(min_length=1)]


class TemperatureStationRow(Section):
    """A row of `temperature_stations`: the station whose temperatures are those of some areas."""

    name: str
    station: Text
    areas: Annotated[Texts, Field(min_length=1)]


class Measured(NamedTuple):
    """Values that a device tells under a reading type."""

    sender_system: str
    device_id: str
    reading_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbours:
    """What config/neighbours.toml says of check meters, similar meters and stations.

    `area` is the column of a location that is the area of a device; a day is held against `most` similar meters at
    most, each of its intervals against `least` at least.
    """

    checks: Mapping[str, Sequence[CheckMeterRow]] = field(default_factory=dict)  # by main device
    groups: Mapping[str, Sequence[SimilarGroupRow]] = field(default_factory=dict)  # by device
    stations: Sequence[TemperatureStationRow] = ()
    units: Units = field(default_factory=Units)
    area: Area = "postal_code"
    most: int = 20
    least: int = 3

    @classmethod
    def of(cls, settings: Settings) -> Neighbours:
        """Return what the settings say."""
        checks: dict[str, list[CheckMeterRow]] = {}
        for row in settings.rows("check_meters", CheckMeterRow):
            checks.setdefault(row.main, []).append(row)
        groups: dict[str, list[SimilarGroupRow]] = {}
        for group in settings.rows("similar_groups", SimilarGroupRow):
            for device in group.devices:
                groups.setdefault(device, []).append(group)
        return cls(
            checks=checks,
            groups=groups,
            stations=settings.rows("temperature_stations", TemperatureStationRow),
            units=Units.of(settings),
            area=settings.exceptions.area,
            most=settings.vee.similar_most,
            least=settings.vee.similar_least,
        )

    def check_of(self, channel: Channel, day: date) -> Measured | None:
        """Return whose values check those of a channel on a local day, None where nothing does."""
        row = next((each for each in self.checks.get(channel.device_id, ()) if each.checks(channel, day)), None)
        if row is None:
            return None
        return Measured(channel.sender_system, row.check, row.check_reading_type or channel.reading_type)

    def group_of(self, sender_system: str, device_id: str) -> SimilarGroupRow | None:
        """Return the group that a device stands in, None where it stands in none."""
        groups = self.groups.get(device_id, ())
        return next((each for each in groups if each.sender_system in (None, sender_system)), None)

    def station_of(self, area: str | None) -> str | None:
        """Return the station whose temperatures are those of an area, None where no row says."""
        fitting = [
            (len(pattern), row.station)
            for row in self.stations
            for pattern in row.areas
            if fnmatchcase(area or "", pattern)
        ]
        return max(fitting, key=lambda one: one[0])[1] if fitting else None

    def ratio(self, *, told: Channel, wanted: Channel) -> Fraction | None:
        """Return what a channel's values are times in the unit of another, None where they measure different things."""
        return self.units.ratio(told=told.unit, wanted=wanted.unit)

    def sibling_ratio(self, *, told: Channel, wanted: Channel) -> Fraction:
        """Return what reactive (active) energy is times beside a channel's: a kvarh stands beside a kWh.

        Units that config/units.toml does not know are taken to be of one size.
        """
        of_told, of_wanted = ("kWh", "kvarh") if is_active(told.reading_type) else ("kvarh", "kWh")
        first = self.units.ratio(told=told.unit, wanted=of_told)
        second = self.units.ratio(told=of_wanted, wanted=wanted.unit)
        return Fraction(1) if first is None or second is None else first * second


@lru_cache(maxsize=1024)
def sibling_of(reading_type: str) -> str | None:
    """Return the OBIS code of the reactive energy beside active energy, or of the active beside reactive.

    None for what is neither.
    """
    try:
        code = Obis.parse(reading_type)
    except ValueError:
        return None
    other = _SIBLINGS.get(code.quantity)
    if code.medium != _ELECTRICITY or other is None:
        return None
    return str(Obis(code.medium, code.channel, other, code.processing, code.tariff, code.period))


def is_active(reading_type: str) -> bool:
    """Tell whether an OBIS code is of active energy in one direction."""
    try:
        return Obis.parse(reading_type).quantity in _ACTIVE
    except ValueError:
        return False


def contradicting_checks(rows: Sequence[CheckMeterRow]) -> Iterator[tuple[CheckMeterRow, CheckMeterRow]]:
    """Yield pairs of rows that name two check meters for the same values on the same day."""
    by_main: dict[str, list[CheckMeterRow]] = {}
    for row in rows:
        by_main.setdefault(row.main, []).append(row)
    for alike in by_main.values():
        yield from ((one, other) for one, other in combinations(alike, 2) if _meet(one, other))


def _meet(one: CheckMeterRow, other: CheckMeterRow) -> bool:
    """Tell whether two rows of a main meter may be about the same values of a day."""
    first = max(each.valid_from or date.min for each in (one, other))
    before = min(each.valid_to or date.max for each in (one, other))
    stated = ((one.sender_system, other.sender_system), (one.reading_type, other.reading_type))
    return first < before and all(None in pair or pair[0] == pair[1] for pair in stated)
