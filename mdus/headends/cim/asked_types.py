"""The ReadingTypes by which a head end is asked for channels, and told of them when it is to serve a meter.

What it tells is read by config/channels.toml; the way out knows the row of the head end alone, so what is here may be
changed there: `reading_types` by OBIS code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mdus.domain.obis import printed
from mdus.domain.reading_type import ReadingType

#: Registers, and interval registers in the intervals they are usually of.
_USUAL: Final[Mapping[str, str]] = {
    "1-0:1.8.0*255": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:1.8.1*255": "0.0.0.9.1.1.12.0.0.0.0.1.0.0.0.3.72.0",
    "1-0:1.8.2*255": "0.0.0.9.1.1.12.0.0.0.0.2.0.0.0.3.72.0",
    "1-0:2.8.0*255": "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:16.8.0*255": "0.0.0.1.4.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:3.8.0*255": "0.0.0.1.5.1.12.0.0.0.0.0.0.0.0.3.73.0",
    "1-0:4.8.0*255": "0.0.0.1.13.1.12.0.0.0.0.0.0.0.0.3.73.0",
    "1-0:9.8.0*255": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.71.0",
    "1-0:1.6.0*255": "8.8.2.6.1.1.8.0.0.0.0.0.0.0.0.3.38.0",
    "7-0:3.0.0*255": "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.0.0*255": "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
    "1-0:1.29.0*255": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:2.29.0*255": "0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "7-0:3.29.0*255": "0.0.7.4.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.29.0*255": "0.0.7.4.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
}


class AskedTypes:
    """The ReadingTypes of one head end, by OBIS code."""

    def __init__(self, own: Mapping[str, str]) -> None:
        """Take the usual ones, and the head end's own before them."""
        of_its_own = {printed(code): mrid for code, mrid in own.items()}
        self._mrids = {**_USUAL, **of_its_own}
        # What two codes share is the one's that the row names.
        known = [*self._mrids.items(), *of_its_own.items()]
        self._codes = {ReadingType.parse(mrid).plain: code for code, mrid in known}

    def mrid_of(self, reading_type: str) -> str | None:
        """Return the ReadingType to ask for a channel by, None where there is none."""
        return self._mrids.get(printed(reading_type))

    def code_of(self, mrid: str) -> str | None:
        """Return the OBIS code that the head end was told a ReadingType for, None where it was not."""
        try:
            return self._codes.get(ReadingType.parse(mrid).plain)
        except ValueError:
            return None

    @property
    def of_registers(self) -> tuple[str, ...]:
        """Return the ReadingTypes of what registers show."""
        return tuple(mrid for mrid in self._mrids.values() if ReadingType.parse(mrid).minutes is None)

    @property
    def of_intervals(self) -> tuple[str, ...]:
        """Return the ReadingTypes of what passed in intervals."""
        return tuple(mrid for mrid in self._mrids.values() if ReadingType.parse(mrid).minutes is not None)
