"""A MeterReadingDocument: channels of interval values or of register readings, statuses by a table of their own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from xml.sax.saxutils import quoteattr

from simulators.clock import instant, stamp
from simulators.headend_file_drop.manners import PULSE, Manner

#: Status codes by quality, and what MDUS has to be told of them.
CODES = {"2.8.0": "EST", "2.5.259": "NOTCOLLECTED", "1.2.32": "POWER"}
QUALITIES = {code: quality for quality, code in CODES.items()}

_REFS = {quality: str(number) for number, quality in enumerate(CODES, start=1)}

_USUAL = Manner()


def intervals(blocks: Sequence[dict[str, Any]], *, created: datetime, manner: Manner = _USUAL) -> list[str]:
    """This will write interval values, a channel for each block."""
    return _document([_intervals(block, manner) for block in blocks], created)


def registers(readings: Sequence[dict[str, Any]], *, created: datetime, manner: Manner = _USUAL) -> list[str]:
    """This will write what registers showed, a channel for each."""
    named = groupby(readings, key=lambda each: (each["serial"], each["obis"]))
    return _document([_register(serial, obis, list(told), manner) for (serial, obis), told in named], created)


def _intervals(block: dict[str, Any], manner: Manner) -> list[str]:
    begin = instant(block["start"])
    end = begin + len(block["values"]) * timedelta(minutes=block["interval_minutes"])
    quality = block.get("quality") or [None] * len(block["values"])
    pulses = f'"true" PulseMultiplier="{PULSE}"' if manner.pulses else '"false"'
    return [
        f'<Channel IsRegister="false" IntervalLength="{block["interval_minutes"]}" ReadingsInPulse={pulses}>',
        _id(block["serial"], block["obis"]),
        "<ContiguousIntervalSets>",
        f'<ContiguousIntervalSet NumberOfReadings="{len(block["values"])}">',
        f'<TimePeriod StartTime="{_time(begin, manner)}" EndTime="{_time(end, manner)}"/>',
        "<Readings>",
        *(_reading(manner.value(value), code) for value, code in zip(block["values"], quality, strict=True)),
        "</Readings>",
        "</ContiguousIntervalSet>",
        "</ContiguousIntervalSets>",
        "</Channel>",
    ]


def _register(serial: str, obis: str, told: Sequence[dict[str, Any]], manner: Manner) -> list[str]:
    return [
        '<Channel IsRegister="true" ReadingsInPulse="false">',
        _id(serial, obis),
        "<Readings>",
        *(f'<Reading Value="{each["value"]}" ReadingTime="{_time(instant(each["at"]), manner)}"/>' for each in told),
        "</Readings>",
        "</Channel>",
    ]


def _id(serial: str, obis: str) -> str:
    return f"<ChannelID IntervalChannelID={quoteattr(f'{serial}:{obis}')}/>"


def _reading(value: str, code: str | None) -> str:
    status = "" if code is None else f' StatusRef="{_REFS[code]}"'
    return f'<Reading Value="{value}"{status}/>'


def _time(at: datetime, manner: Manner) -> str:
    """This will print an instant; a time in another zone than UTC does not say which."""
    return stamp(at) if manner.zone is UTC else f"{manner.at(at):%Y-%m-%dT%H:%M:%S}"


def _document(channels: Sequence[list[str]], created: datetime) -> list[str]:
    statuses = [
        f'<ReadingStatusRef Ref="{_REFS[quality]}"><UnencodedStatus><StatusCodes><Code>{code}</Code></StatusCodes>'
        "</UnencodedStatus></ReadingStatusRef>"
        for quality, code in CODES.items()
    ]
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<MeterReadingDocument>",
        f'<Header><Creation_Datetime Datetime="{stamp(created)}"/></Header>',
        "<ReadingStatusRefTable>",
        *statuses,
        "</ReadingStatusRefTable>",
        "<Channels>",
        *(line for channel in channels for line in channel),
        "</Channels>",
        "</MeterReadingDocument>",
    ]
