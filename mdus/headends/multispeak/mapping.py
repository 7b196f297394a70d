"""What MultiSpeak's names of channels, events and statuses mean: the tables of all kinds, as this one asks them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from mdus.domain.channel_map import ChannelKind, ChannelMap, Mapped
from mdus.domain.channel_name import MultiSpeakName, ObisName
from mdus.domain.event_map import EventMap
from mdus.domain.obis import Obis
from mdus.headends.multispeak.options import STATUSES, Options, StatusRow

#: Schemes of config/field_events.toml: eventCode of a history log, outageEventType, stateChange that nobody asked for,
#: and meterEvent, where it is no code of IEC 61968-9.
HISTORY_LOG: Final = "history_log"
OUTAGE: Final = "outage"
STATE_CHANGE: Final = "state_change"
METER_EVENT: Final = "meter_event"
_EDITION_1: Final = "edition_1"

#: An OBIS code as a fieldName may have it, with points only.
_POINTED: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


class Tables:
    """The tables of one head end."""

    def __init__(self, options: Options, *, channels: ChannelMap, events: EventMap) -> None:
        self._channels = channels
        self._events = events
        self._edition = options.event_edition
        rows = (*STATUSES, *options.statuses)
        self._statuses = {row.status.casefold(): row for row in rows}

    def channel(self, name: MultiSpeakName, *, at: datetime | None) -> Mapped | None:
        """Return the channel a name means, None where no table explains it; an OBIS code explains itself."""
        code = obis(name.field)
        if code is None:
            return self._channels.find(name, at=at)
        own = Mapped(row="", kind=ChannelKind.REGISTER, reading_type=code, unit=name.unit)
        return self._channels.find(ObisName(code), at=at) or own

    def event(self, scheme: str, code: str, *, at: datetime | None) -> str | None:
        """Return the EndDeviceEventType of a code in a scheme, None where no table explains it."""
        return self._events.find(scheme, code, at=at)

    def meter_event(self, code: str, *, at: datetime | None) -> str | None:
        """Return the EndDeviceEventType of a meterEvent: a code of the edition that the head end writes."""
        found = self._events.find(METER_EVENT, code, at=at)
        if found is not None:
            return found
        if self._edition == 1:
            return self._events.find(_EDITION_1, code, at=at)
        return self._events.by_iec(code, at=at)

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
