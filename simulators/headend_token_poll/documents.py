"""MeterReadingDocuments: readings and blocks of interval values of the fleet, by channel."""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from simulators.clock import instant, stamp
from simulators.headend_token_poll.contract import STATUSES, meter_id

Row = dict[str, Any]


def document(readings: Iterable[Row], blocks: Iterable[Row], *, created_at: str) -> ET.Element:
    """This will make a document of rows as the fleet tells them, each with its `serial`."""
    root = ET.Element("MeterReadingDocument")
    ET.SubElement(ET.SubElement(root, "Header"), "Creation_Datetime", Datetime=created_at)
    table = ET.SubElement(root, "ReadingStatusRefTable")
    numbers = {code: str(number) for number, code in enumerate(STATUSES.values(), 1)}
    for code, number in numbers.items():
        row = ET.SubElement(table, "ReadingStatusRef", Ref=number)
        codes = ET.SubElement(ET.SubElement(row, "UnencodedStatus", SourceValidation="NV"), "StatusCodes")
        ET.SubElement(codes, "Code").text = code
    channels = ET.SubElement(root, "Channels")
    registers: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for reading in readings:
        registers[reading["serial"], reading["obis"]].append(reading)
    for (serial, obis), rows in registers.items():
        _add_register(channels, serial, obis, rows)
    profiles: defaultdict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for block in blocks:
        profiles[block["serial"], block["obis"], block["interval_minutes"]].append(block)
    for (serial, obis, minutes), rows in profiles.items():
        _add_profile(channels, serial, obis, minutes, rows, numbers)
    return root


def _add_register(channels: ET.Element, serial: str, obis: str, rows: Sequence[Row]) -> None:
    channel = ET.SubElement(channels, "Channel", IsRegister="true", ReadingsInPulse="false", PulseMultiplier="-1")
    ET.SubElement(channel, "ChannelID", EndPointUOMID=_name(serial, obis))
    readings = ET.SubElement(channel, "Readings")
    for row in rows:
        ET.SubElement(readings, "Reading", Value=row["value"], ReadingTime=row["at"])


def _add_profile(
    channels: ET.Element, serial: str, obis: str, minutes: int, rows: Sequence[Row], numbers: dict[str, str]
) -> None:
    channel = ET.SubElement(channels, "Channel", IsRegister="false", IntervalLength=str(minutes))
    ET.SubElement(channel, "ChannelID", IntervalChannelID=_name(serial, obis))
    sets = ET.SubElement(channel, "ContiguousIntervalSets")
    for row in rows:
        values = row["values"]
        each = ET.SubElement(sets, "ContiguousIntervalSet", NumberOfReadings=str(len(values)))
        end = instant(row["start"]) + len(values) * timedelta(minutes=minutes)
        ET.SubElement(each, "TimePeriod", EndTime=stamp(end), StartTime=row["start"])
        readings = ET.SubElement(each, "Readings")
        for value, quality in zip(values, row.get("quality") or [None] * len(values), strict=True):
            reading = ET.SubElement(readings, "Reading", Value=value or "")
            if quality is not None:
                reading.set("StatusRef", numbers[STATUSES[quality]])


def _name(serial: str, obis: str) -> str:
    return f"{meter_id(serial)}:{obis}"
