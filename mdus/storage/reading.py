"""Register readings as rows: raw values, newest version of an instant last."""

from __future__ import annotations

from mdus.domain.reading import MeterReading
from mdus.storage.mapping import ValueTable

METER_READING = ValueTable(
    MeterReading, "meter_reading", keep=True, indexes=[("sender_system", "device_id", "measured_at")]
)
