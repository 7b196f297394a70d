"""The daily collection: which meter's snapshot of a local midnight the head end has when.

A day has slots, one per minute after midnight; each meter has its own, and a few meters a day miss theirs and come
hours late, in the last slot. All of it follows from the seed, so nothing of it is stored; but for the days a fault has
made late (`Meter.late_days`), which come in the last slot of a later day.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from simulators.fleet.meters import MEMORY, Meter, fraction, midnight

SLOTS = 15
LATE_SLOT = SLOTS
_LATE = timedelta(hours=4)


class Collection:
    """This will tell the slots of a day and the meters of each."""

    def __init__(self, meters: Sequence[Meter], *, seed: int, zone: ZoneInfo, late_rate: float) -> None:
        self._seed = seed
        self._zone = zone
        self._late_rate = late_rate
        self._meters = list(meters)
        self._slot_of = {meter.serial: int(fraction(seed, meter.serial, "slot") * SLOTS) for meter in meters}

    def due(self, day: date, slot: int) -> datetime:
        """This will return the instant at which a slot is collected."""
        return midnight(day, self._zone) + (_LATE if slot == LATE_SLOT else timedelta(minutes=slot + 1))

    def first_slot(self, now: datetime) -> tuple[date, int]:
        """This will return the first slot after `now`."""
        return self.next_slot(
            now.astimezone(self._zone).date() - timedelta(days=1), LATE_SLOT - 1, now=now, missed=False
        )

    def next_slot(self, day: date, slot: int, *, now: datetime, missed: bool = True) -> tuple[date, int]:
        """This will return the slot after this one, skipping what no meter remembers, or all that is past."""
        oldest = now - MEMORY if missed else now
        while True:
            day, slot = (day, slot + 1) if slot < LATE_SLOT else (day + timedelta(days=1), 0)
            if self.due(day, slot) > oldest:
                return day, slot

    def members(self, day: date, slot: int) -> list[Meter]:
        """This will return the meters collected in a slot: provisioned, heard before midnight, and due in it."""
        at = midnight(day, self._zone)
        return [meter for meter in self._meters if _serves(meter, at) and self._collected_in(meter, day) == (day, slot)]

    def overdue(self, day: date, slot: int) -> list[tuple[date, Meter]]:
        """This will return what else comes in a slot: days of meters that were late, the oldest first."""
        if slot != LATE_SLOT:
            return []
        found = [
            (late_day, meter)
            for meter in self._meters
            for late_day, collected_on in meter.late_days.items()
            if collected_on == day
        ]
        return sorted(found, key=lambda each: (each[0], each[1].serial))

    def collected_at(self, meter: Meter, day: date) -> datetime:
        """This will return when the snapshot of a meter that opens a day is collected."""
        return self.due(*self._collected_in(meter, day))

    def page(
        self,
        begin: datetime,
        end: datetime,
        *,
        now: datetime,
        after: tuple[str, str] | None,
        limit: int,
        serial: str | None,
    ) -> tuple[list[tuple[datetime, Meter]], bool]:
        """This will return up to `limit` snapshots collected by `now`, by instant and serial, and whether more follow.

        `after` is (day, serial) of the last one of the page before.
        """
        found: list[tuple[datetime, Meter]] = []
        day = begin.astimezone(self._zone).date()
        if after is not None:
            day = max(day, date.fromisoformat(after[0]))
        while (at := midnight(day, self._zone)) < min(end, now):
            if at >= begin:
                for meter in self._meters:
                    if serial is not None and meter.serial != serial:
                        continue
                    if after is not None and (day.isoformat(), meter.serial) <= after:
                        continue
                    if _serves(meter, at) and self.collected_at(meter, day) <= now:
                        if len(found) == limit:
                            return found, True
                        found.append((at, meter))
            day += timedelta(days=1)
        return found, False

    def slot(self, meter: Meter, day: date) -> int:
        """This will return the slot of a day in which a meter is collected."""
        late = self._late_rate > 0 and fraction(self._seed, meter.serial, day, "late") < self._late_rate
        return LATE_SLOT if late else self._slot_of[meter.serial]

    def _collected_in(self, meter: Meter, day: date) -> tuple[date, int]:
        late_day = meter.late_days.get(day)
        return (day, self.slot(meter, day)) if late_day is None else (late_day, LATE_SLOT)


def _serves(meter: Meter, at: datetime) -> bool:
    return meter.first_heard_at is not None and meter.first_heard_at <= at
