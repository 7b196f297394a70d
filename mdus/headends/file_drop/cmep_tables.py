"""What is known of one feed of CMEP: its channels, flags, further records, and what its times are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mdus.contracts.printable import printable
from mdus.domain.channel_map import ChannelMap
from mdus.headends.file_drop.local_time import LocalTime
from mdus.headends.file_drop.options import Options
from mdus.headends.file_drop.tables import CmepFlagRow, CmepRecordRow
from mdus.settings import Settings

INTERVALS: Final = b"MEPMD01"
TIMES_OF_USE: Final = b"MEPMD02"

THERE_TWICE: Final = "a time is expected that is there once, or beside others that say which hour is meant"


@dataclass(frozen=True, kw_only=True, slots=True)
class CmepTables:
    """What is known of one feed: its channels, and of config/cmep.toml the flags and the records beyond the two.

    `clock` is there where its times are local, `tells_ends` is False where they are those of beginnings of intervals,
    and `meter_field` (from 1 on) is there where the meter stands in another field when field 8 is empty.
    """

    channels: ChannelMap
    flags: Mapping[str, CmepFlagRow]
    records: Mapping[bytes, CmepRecordRow]
    clock: LocalTime | None = None
    tells_ends: bool = True
    meter_field: int | None = None

    @classmethod
    def of(cls, settings: Settings, channels: ChannelMap, options: Options) -> CmepTables:
        """Return the tables of these settings, for a feed with these options."""
        zone, tells_ends = options.cmep_time_zone, options.cmep_times == "end"
        return cls(
            channels=channels,
            flags={row.flag: row for row in settings.rows("cmep_flags", CmepFlagRow)},
            records={row.record.encode(): row for row in settings.rows("cmep_records", CmepRecordRow)},
            clock=None if zone == "UTC" else LocalTime(zone, tells_ends=tells_ends, is_in_order=options.cmep_in_order),
            tells_ends=tells_ends,
            meter_field=options.cmep_meter_field,
        )

    def flag(self, flag: str) -> tuple[CmepFlagRow, bool]:
        """Return what a flag says, and whether its digits are mapped, too. Raises ValueError where no row says."""
        row = self.flags.get(flag) or self.flags.get(flag.rstrip("0"))
        if row is not None:
            return row, True
        row = self.flags.get(flag.rstrip("0123456789"))
        if row is None:
            raise ValueError(f"a row of cmep_flags is expected for {flag!r}, there is none")
        return row, False

    def arranged(self, fields: list[bytes]) -> list[bytes]:
        """Return the fields of a record in the places of the one it is read as, none where it holds no values.

        Raises ValueError where neither the protocol nor a row says.
        """
        if fields[0] == TIMES_OF_USE:
            return fields
        row = self.records.get(fields[0])
        if row is None:
            found = printable(fields[0][:40].decode("utf-8", "replace"))
            raise ValueError(f"MEPMD01 or MEPMD02 is expected, found {found!r}")
        return [] if row.read_as == "nothing" else row.arranged(fields)

    def instants(self, told: Sequence[int | None], step: int) -> list[int | None]:
        """Return the times of a record in UTC, None of one that may be either of two.

        A time that is not told is `step` minutes after the one before it.
        """
        if self.clock is not None:
            return self.clock.instants(told, step)
        found: list[int | None] = []
        at = 0
        for each in told:
            at = at + step if each is None else each
            found.append(at)
        return found

    def earliest(self, told: int) -> int:
        """Return the first instant that a time may mean, by which no value is put in its place."""
        return told if self.clock is None else self.clock.earliest(told)

    def day_bound(self, told: int, where: str) -> int:
        """Return the instant at which a day begins or ends. Raises ValueError where it may be either of two."""
        at = told if self.clock is None else self.clock.day_bound(told)
        if at is None:
            raise ValueError(f"{where}: {THERE_TWICE}")
        return at
