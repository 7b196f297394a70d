"""Channels around another are found by kind, area and day, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Layer, empty_block
from mdus.domain.usage_point import DeviceLocation
from mdus.storage.interval_block import ensure_channels, write_blocks
from mdus.storage.neighbours import Surroundings, channels_around, days_of
from mdus.storage.session import Database, UnitOfWork

DAY = date(2026, 2, 11)
AT = datetime(2026, 2, 12, tzinfo=UTC)
OWN = Channel(
    sender_system="P11",
    device_id="1",
    reading_type="1-0:1.29.0*255",
    interval_minutes=15,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A writing transaction on an empty database."""
    database = Database(database_url)
    with database.begin() as found:
        yield found
    database.close()


def place(uow: UnitOfWork, device_id: str, *, area: str = "10115", **changes: Any) -> None:
    location = DeviceLocation(
        sender_system="P11",
        device_id=device_id,
        installation_point_id=f"I{device_id}",
        valid_from=date(2026, 1, 1),
        parent_installation_point_id=f"H{area}",
        postal_code=area,
    )
    uow.save([replace(location, **changes)])


def around(uow: UnitOfWork, *, area: str = "10115", most: int = 20, day: date = DAY, **more: Any) -> list[str]:
    """Return the devices whose channels are around."""
    wanted = Surroundings.of(OWN, area=area, day=day)
    found = channels_around(uow.connection, [wanted], **{"area": "postal_code", "most": most, **more})
    return [channel.device_id for channel in found.get(wanted, {}).values()]


class TestChannelsAround:
    def test_are_of_the_same_kind(self, uow: UnitOfWork) -> None:
        others = [
            replace(OWN, device_id="2"),
            replace(OWN, device_id="3", unit="WH"),
            replace(OWN, device_id="4", interval_minutes=60),
            replace(OWN, device_id="5", time_zone="Europe/London"),
            replace(OWN, device_id="6", reading_type="1-0:2.29.0*255"),
            replace(OWN, device_id="7", sender_system="P12"),
            replace(OWN, device_id="8", decimals=6),
        ]
        ensure_channels(uow.connection, [OWN, *others])
        for each in (OWN, *others):
            place(uow, each.device_id)
        assert around(uow) == ["1", "2"]

    def test_hang_in_the_area_on_the_day(self, uow: UnitOfWork) -> None:
        ensure_channels(uow.connection, [replace(OWN, device_id=str(number)) for number in range(1, 7)])
        place(uow, "1")
        place(uow, "2", area="10117")
        place(uow, "3", valid_from=DAY)
        place(uow, "4", valid_from=date(2026, 2, 12))
        place(uow, "5", valid_to=DAY)
        place(uow, "6", valid_to=date(2026, 2, 12))
        assert around(uow) == ["1", "3", "6"]
        assert around(uow, area="10117") == ["2"]

    def test_may_be_by_another_column(self, uow: UnitOfWork) -> None:
        ensure_channels(uow.connection, [OWN])
        place(uow, "1")
        wanted = Surroundings.of(OWN, area="H10115", day=DAY)
        found = channels_around(uow.connection, [wanted], area="parent_installation_point_id", most=1)
        assert list(found) == [wanted]

    def test_are_so_many_at_most_of_each(self, uow: UnitOfWork) -> None:
        ensure_channels(uow.connection, [replace(OWN, device_id=f"{number:02}") for number in range(1, 21)])
        for number in range(1, 21):
            place(uow, f"{number:02}", area="10115" if number % 2 else "10117")
        place(uow, "01", installation_point_id="another of the same area")
        surroundings = [Surroundings.of(OWN, area=area, day=DAY) for area in ("10115", "10117", "10119")]
        found = channels_around(uow.connection, surroundings, area="postal_code", most=3)
        assert {key.area: len(channels) for key, channels in found.items()} == {"10115": 3, "10117": 3}
        assert around(uow, most=2, but=["01", "03"]) == ["05", "07"]

    def test_of_nothing_are_none(self, uow: UnitOfWork) -> None:
        assert channels_around(uow.connection, [], area="postal_code", most=3) == {}


def test_days_have_their_layers(uow: UnitOfWork) -> None:
    ids = ensure_channels(uow.connection, [OWN])
    raw = replace(empty_block(OWN, DAY, at=AT, by="delivery/1"), values=np.full(96, 1, dtype=np.int64))
    write_blocks(uow.connection, [raw, replace(raw, layer=Layer.FINAL, written_by="vee/x@1")])
    write_blocks(uow.connection, [replace(raw, version=2)])
    number = ids[OWN]
    found = days_of(uow.connection, [(number, DAY), (number, date(2026, 2, 12))], {number: OWN})
    assert {key: sorted(layers) for key, layers in found.items()} == {(number, DAY): ["final", "raw"]}
    assert found[number, DAY][Layer.RAW].version == 2
    assert days_of(uow.connection, [], {}) == {}


@pytest.mark.parametrize("area", ["postal_code", "parent_installation_point_id"])
def test_meters_are_found_by_their_area_not_by_their_sender_system(uow: UnitOfWork, area: str) -> None:
    """SQLite knows nothing of how many meters a system has: of two indexes it must see that one tells more."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        asked.append((statement, given))

    event.listen(uow.connection, "before_cursor_execute", note)
    assert channels_around(uow.connection, [Surroundings.of(OWN, area="10115", day=DAY)], area=area, most=5) == {}
    event.remove(uow.connection, "before_cursor_execute", note)
    if uow.connection.dialect.name == "sqlite":
        [(statement, given)] = asked
        plan = uow.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
        [locations] = [row.detail for row in plan if "device_location" in row.detail]
        assert locations.endswith(f"({area}=? AND sender_system=?)")
