"""How much a head end has been given and not answered, in all and by concentrator, and how much more may leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, func, select

from mdus.storage.command import COMMAND, COMMAND_IS_UNDER_WAY
from mdus.storage.concentrator import CONCENTRATOR_METER, concentrators_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much one head end is given at once: commands not answered yet, in all and behind one concentrator.

    With `needs_concentrator` nothing leaves for a meter that no concentrator has told of.
    """

    outstanding: int | None = None
    per_concentrator: int | None = None
    needs_concentrator: bool = False

    @property
    def know_concentrators(self) -> bool:
        """Tell whether it matters which concentrator a meter is behind."""
        return self.needs_concentrator or self.per_concentrator is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Free:
    """How many more commands may leave: in all (None: any number), and by concentrator with something under way."""

    in_all: int | None = None
    by_concentrator: Mapping[str, int] = field(default_factory=dict)

    @property
    def full(self) -> frozenset[str]:
        """Return the concentrators that can take no more."""
        return frozenset(name for name, number in self.by_concentrator.items() if number <= 0)


@dataclass(kw_only=True, slots=True)
class Places:
    """Gives each meter one place of a call, as long as its concentrator has room."""

    concentrators: Mapping[str, str]  # by serial number
    room: dict[str, int]
    most: int | None
    taken: set[str] = field(default_factory=set)

    def take(self, serial: str) -> bool:
        """Take a place for a command to a meter; returns whether there was one."""
        if serial in self.taken:
            return False
        name = self.concentrators.get(serial)
        if self.most is not None and name is not None:
            left = self.room.get(name, self.most)
            if left <= 0:
                return False
            self.room[name] = left - 1
        self.taken.add(serial)
        return True


def free_places(connection: Connection, head_end: str, limits: Limits) -> Free:
    """Return how many more commands a head end may be given; whoever asks is alone with it in its transaction."""
    if limits.outstanding is None and limits.per_concentrator is None:
        return Free()
    if connection.dialect.name == "postgresql":  # on SQLite there is one writer
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"outstanding {head_end}"))))
    most = limits.per_concentrator
    return Free(
        in_all=None if limits.outstanding is None else limits.outstanding - outstanding(connection, head_end),
        by_concentrator={}
        if most is None
        else {name: most - number for name, number in outstanding_by_concentrator(connection, head_end).items()},
    )


def places_of(connection: Connection, head_end: str, serials: Collection[str], limits: Limits, free: Free) -> Places:
    """Return the places for commands to these meters."""
    most = limits.per_concentrator
    behind = {} if most is None else concentrators_of(connection, head_end, serials)
    return Places(concentrators=behind, room=dict(free.by_concentrator), most=most)


def outstanding(connection: Connection, head_end: str) -> int:
    """Return how many commands a head end has been given, or is being given, and has not answered."""
    table = COMMAND.table
    under_way = select(func.count()).where(COMMAND_IS_UNDER_WAY, table.c.head_end == head_end)
    return connection.scalar(under_way) or 0


def outstanding_by_concentrator(connection: Connection, head_end: str) -> dict[str, int]:
    """Return the same by concentrator, for those that have any."""
    table, meter = COMMAND.table, CONCENTRATOR_METER
    query = (
        select(meter.c.concentrator, func.count())
        .select_from(table)
        .join(meter, and_(meter.c.head_end == table.c.head_end, meter.c.serial_id == table.c.serial_id))
        .where(COMMAND_IS_UNDER_WAY, table.c.head_end == head_end)
        .group_by(meter.c.concentrator)
    )
    return {row[0]: row[1] for row in connection.execute(query)}
