"""What MultiSpeak's names of channels, events and statuses mean: the one place where this kind asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from mdus.domain.obis import Obis
from mdus.headends.multispeak.options import STATUSES, Options, StatusRow

#: An OBIS code as a fieldName has it: 1-0:1.8.0*255, or with points only.
_POINTED: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)

_EVENT_TYPE: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,4}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """What a readingValue, or with `is_interval` a channel of a profile, says of itself; empty where it says nothing.

    `field` is fieldName or the element (posKWh, kW), `value_type` readingValueType, `tou` ratePeriod, `service`
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
        """Print what is said, to name what no table explains."""
        said = (
            (name, getattr(self, name)) for name in ("field", "value_type", "unit", "phase", "tou", "service", "code")
        )
        parts = [f"{name}={value}" for name, value in said if value] + ["is_interval"] * self.is_interval
        return f"multispeak: {', '.join(parts)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """The channel behind a name: a told value times `factor` is in `unit`."""

    reading_type: str
    unit: str
    factor: Decimal = Decimal(1)


_REGISTERS: Final[Mapping[str, tuple[str, str]]] = {
    "poskwh": ("1-0:1.8.0*255", "kWh"),
    "negkwh": ("1-0:2.8.0*255", "kWh"),
    "netkwh": ("1-0:16.8.0*255", "kWh"),
    "kw": ("1-0:1.6.0*255", "kW"),
    "energy": ("1-0:1.8.0*255", "kWh"),
    "negative energy": ("1-0:2.8.0*255", "kWh"),
    "max demand": ("1-0:1.6.0*255", "kW"),
    "current demand": ("1-0:1.7.0*255", "kW"),
    "gas": ("7-0:3.0.0*255", "m3"),
    "water": ("8-0:1.0.0*255", "m3"),
}
_INTERVALS: Final[Mapping[str, tuple[str, str]]] = {
    "kwh": ("1-0:1.29.0*255", "kWh"),
    "poskwh": ("1-0:1.29.0*255", "kWh"),
    "negkwh": ("1-0:2.29.0*255", "kWh"),
    "gas": ("7-0:3.29.0*255", "m3"),
    "water": ("8-0:1.29.0*255", "m3"),
}
_CALLED: Final[Mapping[str, str]] = {"cubic meter": "m3", "cubic meters": "m3", "kwh": "kWh"}
_OUTAGES: Final[Mapping[str, str]] = {
    "outage": "3.26.0.85",
    "poweroff": "3.26.0.85",
    "restoration": "3.26.0.216",
    "poweron": "3.26.0.216",
}
_EVENTS: Final[Mapping[str, str]] = {
    "primary power down": "3.26.0.85",
    "primary power up": "3.26.0.216",
    "power down": "3.26.0.85",
    "power up": "3.26.0.216",
    "time changed": "3.36.0.24",
    "end device programmed": "3.7.0.24",
    "meter reprogrammed": "3.7.0.24",
    "demand reset occurred": "3.8.0.215",
    "low battery detected": "3.2.22.150",
    "tamper attempt detected": "3.12.0.257",
    "magnetic tamper detected": "3.12.66.257",
    "reverse rotation detected": "3.12.93.219",
    "reverse flow detected": "3.12.93.219",
    "low loss potential detected": "3.26.79.223",
}


class Tables:
    """The tables of one head end."""

    def __init__(self, options: Options) -> None:
        self._edition = options.event_edition
        rows = (*STATUSES, *options.statuses)
        self._statuses = {row.status.casefold(): row for row in rows}

    def channel(self, name: Name, *, at: datetime | None) -> Explained | None:
        """Return the channel a name means, None where no table explains it; an OBIS code explains itself."""
        del at
        own = obis(name.field)
        if own is not None:
            return Explained(reading_type=own, unit=name.unit)
        rows = _INTERVALS if name.is_interval else _REGISTERS
        for said in (name.field, name.value_type, name.service):
            found = rows.get(said.strip().casefold())
            if found is not None:
                unit = found[1] if _CALLED.get(name.unit.casefold(), name.unit) in ("", found[1]) else name.unit
                return _with_tariff(Explained(reading_type=found[0], unit=unit), name.tou)
        return None

    def outage(self, kind: str, *, at: datetime | None) -> str | None:
        """Return the EndDeviceEventType of an outageEventType, None where no table explains it."""
        del at
        return _OUTAGES.get(kind.casefold())

    def logged(self, text: str, *, at: datetime | None) -> str | None:
        """Return the EndDeviceEventType of an eventCode of history logs, None where no table explains it."""
        del at
        return _EVENTS.get(" ".join(text.split()).casefold())

    def event_code(self, code: str, *, at: datetime | None) -> str | None:
        """Return the EndDeviceEventType of a code of IEC 61968-9, of the edition the head end writes."""
        del at
        if not _EVENT_TYPE.fullmatch(code):
            return None
        device, domain, _, action = code.split(".")
        if domain == "26" and action in ("185", "216"):
            return f"{device}.26.0.{'85' if action == '185' else '216'}"
        return code if self._edition == 2 else None

    def status(self, text: str) -> StatusRow | None:
        """Return what a status of an interval value means, None where no table explains it."""
        return self._statuses.get(text.casefold())


def obis(field: str) -> str | None:
    """Return the OBIS code a fieldName is, None of any other."""
    pointed = _POINTED.fullmatch(field)
    text = "{}-{}:{}.{}.{}*{}".format(*pointed.groups()) if pointed else field
    try:
        return str(Obis.parse(text))
    except ValueError:
        return None


def _with_tariff(found: Explained, tou: str) -> Explained | None:
    if tou in ("", "0", "T"):
        return found
    if not tou.isdigit():
        return None
    code = Obis.parse(found.reading_type)
    own = Obis(code.medium, code.channel, code.quantity, code.processing, int(tou), code.period)
    return Explained(reading_type=str(own), unit=found.unit, factor=found.factor)
