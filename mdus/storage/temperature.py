"""Temperatures of stations' days."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy import Connection

from mdus.domain.temperature import DayTemperature
from mdus.storage.mapping import ValueTable

DAY_TEMPERATURE = ValueTable(DayTemperature, "day_temperature")


def between(connection: Connection, stations: Collection[str], *, first: date, last: date) -> list[DayTemperature]:
    """Return the temperatures of stations on the days from the first to the last, both included; one statement."""
    day = DAY_TEMPERATURE.table.c.day
    return DAY_TEMPERATURE.read(
        connection, ("station",), {(station,) for station in stations}, where=(day >= first, day <= last)
    )
