"""What head ends call a channel, each protocol in its own way; printed, it names what no table explains."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mdus.domain.obis import printed


def _parts(name: Any) -> str:
    said = ((each.name, getattr(name, each.name)) for each in fields(name))
    return ", ".join(part if value is True else f"{part}={value}" for part, value in said if value)


@dataclass(frozen=True, slots=True)
class Mrid:
    """A ReadingType of IEC 61968-9, as it is told."""

    mrid: str

    def __str__(self) -> str:
        return f"mrid: {self.mrid}"


@dataclass(frozen=True, slots=True)
class ObisName:
    """An OBIS code, as it is told."""

    obis: str

    def __str__(self) -> str:
        return f"obis: {printed(self.obis)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiSpeakName:
    """A readingValue, or with `is_interval` a channel of a profile. What is not told is empty.

    `field` is fieldName (or the element: posKWh, kW), `value_type` readingValueType, `tou` ratePeriod, `service`
    serviceType, `code` the text of 4.1's readingTypeCode.
    """

    field: str = ""
    value_type: str = ""
    unit: str = ""
    phase: str = ""
    tou: str = ""
    service: str = ""
    code: str = ""
    is_interval: bool = False

    def __str__(self) -> str:
        return f"multispeak: {_parts(self)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CmepName:
    """Commodity and unit of a record; `label` is the time of use of MEPMD02, `is_irregular`: without an interval."""

    commodity: str
    unit: str
    label: str = ""
    is_irregular: bool = False

    def __str__(self) -> str:
        return f"cmep: {_parts(self)}"


@dataclass(frozen=True, slots=True)
class OtherName:
    """Any other name: of a column of `source`, or of a place there."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"


ChannelName = Mrid | ObisName | MultiSpeakName | CmepName | OtherName
