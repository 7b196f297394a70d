"""A CSV of register readings as a vendor of radio transmitters writes it: raw count, scalar, and both multiplied."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from simulators.clock import instant

_COLUMNS = (
    "AccountNumber",
    "MeterSN",
    "MTUID",
    "Port",
    "AccountType",
    "Address1",
    "City",
    "State",
    "Zip",
    "RawRead",
    "ScaledRead",
    "ReadingTime",
    "LocalTime",
    "Active",
    "Scalar",
    "MeterTypeID",
    "Vendor",
    "Model",
    "Description",
    "ReadInterval",
)


def registers(readings: Sequence[dict[str, Any]], *, zone: ZoneInfo) -> list[str]:
    """This will write what registers showed; each register of a meter is a port, its type is its OBIS code."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    ports: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for reading in readings:
        own = ports[reading["serial"]]
        port = own.setdefault(reading["obis"], len(own) + 1)
        value, at = Decimal(reading["value"]), instant(reading["at"])
        exponent = int(value.as_tuple().exponent)
        writer.writerow(
            (
                f"A{reading['serial']}",
                reading["serial"],
                int(reading["serial"][-6:]),
                port,
                "Residential",
                "1, Long Street",
                "Smallville",
                "",
                "",
                int(value.scaleb(-exponent)),
                reading["value"],
                f"{at:%Y-%m-%d %H:%M:%S}",
                f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
                "Y",
                format(Decimal(1).scaleb(exponent), "f"),
                reading["obis"],
                "Simulated",
                "S-1",
                "simulated, one port per register",
                "1440",
            )
        )
    return text.getvalue().splitlines()
