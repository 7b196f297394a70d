"""What meters tell of themselves: the codes in use, and what happens by itself to which meter on which day.

What happens follows from the seed, so a restarted simulator finds the same events, by the same ids.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulators.clock import instant, stamp
from simulators.fleet.meters import CONNECTED, Meter, fraction, midnight

Event = dict[str, Any]

POWER_FAILED = "3.26.0.85"
POWER_RESTORED = "3.26.0.216"
VOLTAGE_SAG = "3.26.79.223"
CLOCK_SET, CLOCK_SET_OF_OTHERS = "3.36.0.24", "0.36.0.24"
RELAY_OPENED = "3.31.0.68"
RELAY_CLOSED = "3.31.0.42"

# IEC 61968-9 EndDeviceEventTypes in use, with what the head end writes beside them.
TEXTS = {
    POWER_FAILED: "power failed",
    POWER_RESTORED: "power restored",
    VOLTAGE_SAG: "voltage sag",
    "3.12.29.39": "cover opened",
    "3.12.66.257": "magnetic tamper",
    "3.7.0.24": "meter reprogrammed",
    CLOCK_SET: "clock set",
    CLOCK_SET_OF_OTHERS: "clock set",
    RELAY_OPENED: "relay opened",
    RELAY_CLOSED: "relay closed",
    "0.12.0.257": "tamper detected",
    "0.2.22.150": "battery low",
    "0.7.0.24": "meter reprogrammed",
}

# What happens by itself, a code as often as it stands here.
_ELECTRICITY = (*[POWER_FAILED] * 3, *[VOLTAGE_SAG] * 2, "3.12.29.39", "3.12.66.257", "3.7.0.24")
_BATTERY_POWERED = (*["0.2.22.150"] * 2, "0.12.0.257", "0.7.0.24")

_TOLD_ON = timedelta(minutes=5)  # the grid on which the head end hears of what happened, lest each event be a moment


def event(
    serial: str, code: str, at: datetime, *, text: str | None = None, properties: Mapping[str, str] | None = None
) -> Event:
    """This will make an event as the API prints it; its id follows from meter, code and instant."""
    digest = hashlib.blake2b(f"{serial}/{code}/{stamp(at)}".encode(), digest_size=8).hexdigest()
    return {
        "serial": serial,
        "event_id": f"e-{digest}",
        "code": code,
        "at": stamp(at),
        "text": text if text is not None else TEXTS.get(code),
        "properties": dict(properties or {}),
    }


def outage(serial: str, at: datetime, seconds: int) -> tuple[Event, Event]:
    """This will make the two events of a meter that loses power for a time."""
    restored = {"seconds": str(seconds)}
    return (
        event(serial, POWER_FAILED, at),
        event(serial, POWER_RESTORED, at + timedelta(seconds=seconds), properties=restored),
    )


def clock_set(meter: Meter, at: datetime) -> Event:
    """This will make the event of a meter whose clock is set, with the seconds it was ahead before."""
    code = CLOCK_SET if meter.commodity == "electricity" else CLOCK_SET_OF_OTHERS
    return event(meter.serial, code, at, properties={"seconds": meter.clock_offset})


def operated(serial: str, state: str, at: datetime, *, reference: str) -> Event:
    """This will make the event of a breaker that was operated by a device order."""
    code = RELAY_CLOSED if state == CONNECTED else RELAY_OPENED
    return event(serial, code, at, properties={"reference": reference})


def happening(meter: Meter, day: date, *, seed: int, zone: ZoneInfo, rate: float) -> Iterator[Event]:
    """This will draw what happens to a meter on a local day: with probability `rate` one thing, else nothing."""

    def draw(what: str) -> float:
        return fraction(seed, meter.serial, day, what)

    if rate <= 0 or draw("event") >= rate:
        return
    codes = _ELECTRICITY if meter.commodity == "electricity" else _BATTERY_POWERED
    code = codes[int(draw("code") * len(codes))]
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    at = begin + timedelta(seconds=int(draw("second") * (end - begin).total_seconds()))
    if code == POWER_FAILED:
        yield from outage(meter.serial, at, 20 + int(draw("seconds") * 1200))
        return
    properties = {
        VOLTAGE_SAG: {"phase": f"L{1 + int(draw('phase') * 3)}", "volts": f"{160 + draw('volts') * 40:.1f}"},
        "0.2.22.150": {"volts": f"{2.6 + draw('volts') * 0.4:.2f}"},
        "3.7.0.24": {"program": f"P{int(draw('program') * 1000):03d}"},
        "0.7.0.24": {"program": f"P{int(draw('program') * 1000):03d}"},
    }
    yield event(meter.serial, code, at, properties=properties.get(code))


def told_at(at: datetime) -> datetime:
    """This will return when the head end hears of something that happened by itself."""
    return at + _TOLD_ON - (at - datetime.min.replace(tzinfo=at.tzinfo)) % _TOLD_ON


@dataclass(kw_only=True, slots=True)
class Log:
    """The events the head end has heard of, each once, in order of their instants."""

    ids: set[str] = field(default_factory=set)
    _order: list[tuple[datetime, str]] = field(default_factory=list)
    _events: dict[str, Event] = field(default_factory=dict)

    def add(self, events: Sequence[Event]) -> None:
        """This will keep events; one that is there already changes nothing."""
        for each in events:
            if each["event_id"] not in self.ids:
                self.ids.add(each["event_id"])
                self._events[each["event_id"]] = each
                insort(self._order, (instant(each["at"]), each["event_id"]))

    def all(self) -> list[Event]:
        """This will return all of them."""
        return [self._events[event_id] for _, event_id in self._order]

    def page(
        self, begin: datetime, end: datetime, *, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[list[Event], bool]:
        """This will return up to `limit` events with begin <= at < end, and whether more follow."""
        first = bisect_left(self._order, (begin, ""))
        if after is not None:
            first = max(first, bisect_left(self._order, (after[0], after[1] + "\0")))
        last = bisect_left(self._order, (end, ""))
        chosen = self._order[first : min(first + limit, last)]
        return [self._events[event_id] for _, event_id in chosen], first + limit < last
